// Classes that stand in the ConfigMap without pods: an admission may have written one for a pod that the watch has not
// shown yet. They stay a while, as far as nothing forbids them.
import type { Clock } from '../cluster/clock.ts';
import type { ClusterView } from '../cluster/view.ts';
import type { Meta } from '../intent/class.ts';
import { namespaceOfClass } from '../intent/fit.ts';
import type { Grant, NamespaceFacts } from '../intent/model.ts';
import { namespaceSwitch } from '../intent/switch.ts';
import { keysOf } from './desired.ts';

export interface Grace {
  /** `alive`: ids that have pods. Gives what stays, and when to look again. */
  look(alive: ReadonlySet<string>, meta: Meta): { kept: [string, Grant[]][]; againMs: number | undefined };
  forget(): void;
}

interface Seen {
  /** undefined: it has pods. */
  aloneSince: number | undefined;
  /** As it was when it last had pods, or was found: the objects of the cache change when a namespace does. */
  namespace: NamespaceFacts | undefined;
}

export function createGrace({
  cluster,
  clock,
  graceMs,
}: {
  cluster: Pick<ClusterView, 'settings' | 'intent' | 'namespace'>;
  clock: Pick<Clock, 'now'>;
  graceMs: number;
}): Grace {
  const seen = new Map<string, Seen>();

  /** Whatever was granted: nothing is mirrored there any more. */
  const isForbidden = (name: string, namespace: NamespaceFacts | undefined): boolean => {
    const { settings } = cluster;
    return (
      !namespace ||
      name === settings.ownNamespace ||
      settings.excludedNamespaces.includes(name) ||
      namespaceSwitch(namespace, settings.labelKey).on === false
    );
  };

  return {
    look(alive, meta) {
      const intent = cluster.intent();
      const now = clock.now();
      const kept: [string, Grant[]][] = [];
      let againMs: number | undefined;
      // Of other keys the ids are nobody's, and of other filters the grants may be what somebody took back.
      const isCurrent =
        intent && keysOf(intent.meta) === keysOf(meta) && intent.meta.filtersHash === meta.filtersHash;
      const candidates = isCurrent ? intent.classes : new Map<string, Grant[]>();
      for (const id of seen.keys()) if (!candidates.has(id)) seen.delete(id);
      for (const [id, grants] of candidates) {
        const name = namespaceOfClass(id);
        const namespace = cluster.namespace(name);
        if (alive.has(id)) {
          seen.set(id, { aloneSince: undefined, namespace });
          continue;
        }
        const known = seen.get(id) ?? { aloneSince: now, namespace };
        const aloneSince = known.aloneSince ?? now;
        seen.set(id, { ...known, aloneSince });
        if (isForbidden(name, namespace) || known.namespace !== namespace) continue;
        const leftMs = aloneSince + graceMs - now;
        if (leftMs <= 0) continue;
        kept.push([id, grants]);
        againMs = Math.min(againMs ?? leftMs, leftMs);
      }
      return { kept, againMs };
    },
    forget: () => seen.clear(),
  };
}
