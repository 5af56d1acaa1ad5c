// The intent of some classes computed anew, to compare with what is written.
import type { ClusterView, KnownPod } from '../cluster/view.ts';
import { type Conflict, desiredOf } from '../controller/desired.ts';
import { classOf, type Meta, metaOf } from '../intent/class.ts';
import type { Grant } from '../intent/model.ts';

export interface Fresh {
  meta: Meta;
  /** Empty: no entry belongs there. */
  grantsOf(id: string): Grant[];
  conflictOf(id: string): Conflict | undefined;
}

/**
 * `pods`: all of each class that will be asked for. Not those of a whole namespace, which with very many pods and
 * filters takes seconds, while admissions wait.
 */
export function freshIntent(view: ClusterView, pods: readonly KnownPod[]): Fresh {
  const { settings, filters, namespace } = view;
  const { classes, conflicts } = desiredOf({ settings, filters, namespace, pods: () => pods });
  return {
    meta: metaNow(view),
    grantsOf: (id) => classes.get(id) ?? [],
    conflictOf: (wanted) => conflicts.find(({ id }) => id === wanted),
  };
}

/** As the filters are now. */
export function metaNow({ filters, settings }: ClusterView): Meta {
  return metaOf(filters().filters, settings);
}

export function classIdOf(pod: KnownPod, meta: Meta): string {
  const found = classOf(pod, meta);
  // A pod that exists has a name, without which alone there is no class.
  if (!found) throw new Error(`pod ${pod.namespace}/${pod.name} has no class`);
  return found.id;
}

export function* podsIn(view: Pick<ClusterView, 'pods'>, namespace: string): Generator<KnownPod> {
  for (const pod of view.pods()) if (pod.namespace === namespace) yield pod;
}
