import type { KnownPod } from '../cluster/view.ts';
import { workloadKeyOf } from '../controller/owner.ts';

/** "Deployment web". */
export function workloadOf(pod: KnownPod): string {
  const [kind = '', ...name] = workloadKeyOf(pod)
    .slice(pod.namespace.length + 1)
    .split('/');
  return `${kind} ${name.join('/')}`;
}
