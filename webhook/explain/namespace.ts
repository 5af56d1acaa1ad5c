// A namespace: what its label means, and its pods by class.
import type { KnownPod } from '../cluster/view.ts';
import { isFinished } from '../controller/desired.ts';
import { resolveIntent } from '../intent/resolve.ts';
import type { ClassSummary, ExplainView, NamespaceExplanation, Unknown } from './explanation.ts';
import { filtersSummary } from './filters.ts';
import { classIdOf, type Fresh, freshIntent, metaNow, podsIn } from './fresh.ts';
import { namespaceState } from './label.ts';
import { storedFor } from './stored.ts';
import { unknownNamespace } from './unknown.ts';
import { workloadOf } from './workload.ts';

// Nobody reads more, and an answer stays below some hundred KiB.
const maxClasses = 100;

export function explainNamespace(view: ExplainView, name: string): NamespaceExplanation | Unknown {
  const pods = [...podsIn(view, name)];
  if (pods.length === 0 && !view.namespace(name)) return unknownNamespace(view, name);
  const alive = pods.filter((pod) => !isFinished(pod));
  const meta = metaNow(view);
  const classes = [...Map.groupBy(alive, (pod) => classIdOf(pod, meta))].sort(
    ([a, few], [b, many]) => many.length - few.length || (a < b ? -1 : 1),
  );
  const told = classes.slice(0, maxClasses);
  const fresh = freshIntent(
    view,
    told.flatMap(([, members]) => members),
  );
  return {
    kind: 'namespace',
    synced: view.synced(),
    namespace: namespaceState(view, name),
    filters: filtersSummary(view.filters()),
    pods: alive.length,
    finished: pods.length - alive.length,
    classes: told.map(([id, members]) => summaryOf(id, members, view, fresh)),
    moreClasses: classes.length - told.length,
  };
}

function summaryOf(id: string, pods: KnownPod[], view: ExplainView, fresh: Fresh): ClassSummary {
  const [example] = pods.toSorted((a, b) => (a.name < b.name ? -1 : 1)) as [KnownPod];
  const { mirrored, because } = resolveIntent({
    pod: example,
    namespace: view.namespace(example.namespace),
    filters: view.filters().filters,
    settings: view.settings,
  });
  const workload = workloadOf(example);
  return {
    id,
    pods: pods.length,
    example: example.name,
    workload,
    moreWorkloads: new Set(pods.map(workloadOf)).size - 1,
    mirrored,
    because,
    stored: storedFor(example, view, fresh),
  };
}
