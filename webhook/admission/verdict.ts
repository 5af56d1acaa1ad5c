// The pod of a review and what is decided about it.
import { podFactsOf } from '../cluster/pod.ts';
import type { ClusterView } from '../cluster/view.ts';
import type { PodFacts, Verdict } from '../intent/model.ts';
import { resolveIntent } from '../intent/resolve.ts';
import { isBlock, valueAt } from './object.ts';
import type { AdmissionRequest } from './review.ts';

export type PodView = Pick<ClusterView, 'settings' | 'filters' | 'namespace'>;

/** undefined: the object is no pod; the API server says so better. */
export function decidePod(
  request: AdmissionRequest,
  { settings, filters, namespace }: PodView,
): { pod: PodFacts; verdict: Verdict } | undefined {
  const pod = readPod(request);
  if (pod === undefined) return undefined;
  const verdict = resolveIntent({
    pod,
    namespace: namespace(pod.namespace),
    filters: filters().filters,
    settings,
  });
  return { pod, verdict };
}

function readPod({ object, namespace, name }: AdmissionRequest): PodFacts | undefined {
  if (!isBlock(valueAt(object, ['metadata']))) return undefined;
  let facts: PodFacts;
  try {
    facts = podFactsOf(object, namespace);
  } catch {
    return undefined;
  }
  // What the API server says goes before what the object says: there the namespace may be missing, or another.
  return { ...facts, namespace, name: name === '' ? facts.name : name };
}
