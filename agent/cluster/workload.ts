import { templateHashKey } from '../../webhook/cluster/pod.ts';
import type { KnownPod } from '../../webhook/cluster/view.ts';

/**
 * Whose pod it is, as `<kind>/<name>`: "Deployment/web", "StatefulSet/db", "Pod/once". Without asking anybody: the name of a
 * ReplicaSet is that of its Deployment with the hash that the pod carries as a label.
 */
export function workloadOf({ name, labels, owner }: Pick<KnownPod, 'name' | 'labels' | 'owner'>): string {
  if (!owner || owner.kind === 'Node') return `Pod/${name}`;
  const hash = labels[templateHashKey];
  if (owner.kind === 'ReplicaSet' && hash && owner.name.endsWith(`-${hash}`)) {
    return `Deployment/${owner.name.slice(0, -hash.length - 1)}`;
  }
  const scheduled = owner.kind === 'Job' && /^(.+)-\d{8,}$/.exec(owner.name);
  return scheduled ? `CronJob/${scheduled[1]}` : `${owner.kind}/${owner.name}`;
}
