/** Is what stands in the ConfigMaps what follows from the cluster, computed anew and with nothing remembered? */
import { isDeepStrictEqual } from 'node:util';
import { configMapOf } from '../../webhook/cluster/configmap.ts';
import { FILTERS_NAME, filtersStateOf } from '../../webhook/cluster/filters.ts';
import { namespaceOf } from '../../webhook/cluster/namespaces.ts';
import { knownPodOf } from '../../webhook/cluster/pod.ts';
import { type Desired, desiredOf } from '../../webhook/controller/desired.ts';
import { type Meta, metaOf } from '../../webhook/intent/class.ts';
import { defaultSettings } from '../../webhook/intent/model.ts';
import { until } from '../harness/until.ts';
import { readIntent } from './agent-view.ts';
import type { Kubectl } from './kubectl.ts';

const settings = defaultSettings('podmirror');

interface Items {
  items: { kind: string; metadata: { name: string; namespace?: string } }[];
}

/** What should stand there. */
export async function freshDesired(kubectl: Kubectl): Promise<{ desired: Desired; meta: Meta }> {
  const everything = JSON.parse(
    await kubectl(['get', 'namespaces,pods,configmaps', '-A', '-o', 'json']),
  ) as Items;
  const ofKind = (kind: string) => everything.items.filter((item) => item.kind === kind);
  const namespaces = new Map(
    ofKind('Namespace')
      .map(namespaceOf)
      .map((namespace) => [namespace.name, namespace]),
  );
  const pods = ofKind('Pod').map(knownPodOf);
  const stored = ofKind('ConfigMap').find(
    ({ metadata }) => metadata.name === FILTERS_NAME && metadata.namespace === settings.ownNamespace,
  );
  const filters = filtersStateOf(stored && configMapOf(stored));
  const desired = desiredOf({
    settings,
    filters: () => filters,
    namespace: (name) => namespaces.get(name),
    pods: () => pods,
  });
  return { desired, meta: metaOf(filters.filters, settings) };
}

/** Sentences; none: it is right. Classes that have no pods may stay a while. */
export async function differences(kubectl: Kubectl): Promise<string[]> {
  // The cluster first: what is computed from it must then stand there, or come.
  const { desired, meta } = await freshDesired(kubectl);
  const intent = await readIntent(kubectl).catch((error: Error) => error.message);
  if (typeof intent === 'string') return [intent];
  const ids = new Set([...desired.classes.keys(), ...intent.classes.keys()]);
  return [
    ...(isDeepStrictEqual({ ...intent.meta, shards: 1 }, meta)
      ? []
      : [`_meta is ${JSON.stringify(intent.meta)}, not ${JSON.stringify(meta)}`]),
    ...[...ids]
      .filter((id) => desired.alive.has(id))
      .filter((id) => !isDeepStrictEqual(intent.classes.get(id), desired.classes.get(id)))
      .map(
        (id) =>
          `${id} is ${JSON.stringify(intent.classes.get(id))}, not ${JSON.stringify(desired.classes.get(id))}`,
      ),
  ];
}

/** Throws with what differs when it takes longer. */
export async function untilConverged(kubectl: Kubectl, timeoutMs = 30_000): Promise<void> {
  let last: string[] = [];
  const isRight = async () => {
    last = await differences(kubectl);
    return last.length === 0;
  };
  if (!(await until(isRight, { timeoutMs, everyMs: 50 }))) {
    throw new Error(`the intent does not converge:\n${last.slice(0, 20).join('\n')}`);
  }
}
