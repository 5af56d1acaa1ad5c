// Everything about one pod: what is decided, why, what is written of it, and what an agent does.
import { resolveIntent } from '../intent/resolve.ts';
import { agentPlan } from './agent.ts';
import { containerVerdicts } from './containers.ts';
import type { ExplainView, PodExplanation, Unknown } from './explanation.ts';
import { filtersSummary } from './filters.ts';
import { classIdOf, freshIntent, metaNow, podsIn } from './fresh.ts';
import { namespaceState } from './label.ts';
import { storedFor } from './stored.ts';
import { unknownPod } from './unknown.ts';
import { workloadOf } from './workload.ts';

export function explainPod(view: ExplainView, namespace: string, name: string): PodExplanation | Unknown {
  const pod = view.pod(namespace, name);
  if (!pod) return unknownPod(view, namespace, name);
  const { settings } = view;
  const filters = view.filters();
  const verdict = resolveIntent({
    pod,
    namespace: view.namespace(namespace),
    filters: filters.filters,
    settings,
  });
  const meta = metaNow(view);
  const classId = classIdOf(pod, meta);
  const siblings = [...podsIn(view, namespace)].filter((each) => classIdOf(each, meta) === classId);
  const fresh = freshIntent(view, siblings);
  const stored = storedFor(pod, view, fresh);
  return {
    kind: 'pod',
    synced: view.synced(),
    pod: { namespace, name, phase: pod.phase, node: pod.nodeName ?? null, workload: workloadOf(pod) },
    namespace: namespaceState(view, namespace),
    filters: filtersSummary(filters),
    verdict,
    containers: containerVerdicts(pod, verdict, fresh.grantsOf(classId)),
    classId,
    stored,
    agent: agentPlan(pod, stored),
  };
}
