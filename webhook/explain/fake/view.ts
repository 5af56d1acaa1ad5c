// A cluster as tests describe it, with the intent that a webhook wrote when its filters were `written`.
import { type FakeCluster, fakeView } from '../../admission/fake/view.ts';
import { desiredOf } from '../../controller/desired.ts';
import { metaOf } from '../../intent/class.ts';
import type { Intent } from '../../intent/document.ts';
import type { ExplainView } from '../explanation.ts';

export const deployment = (name: string, hash = '7d4b') => ({
  labels: { app: name, 'pod-template-hash': hash },
  owner: { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${name}-${hash}`, uid: `uid-${name}-${hash}` },
});

/** `written` null: no ConfigMap; left out: as things are now. */
export function viewOf(
  cluster: FakeCluster = {},
  { written = {}, shards = 1 }: { written?: FakeCluster | null; shards?: number } = {},
): ExplainView {
  const intent = written === null ? null : intentOf({ ...cluster, ...written }, shards);
  return {
    ...fakeView(cluster),
    intent: () => intent,
    intentProblems: () => (intent ? [] : ['podmirror-intent is not there']),
  };
}

function intentOf(cluster: FakeCluster, shards: number): Intent {
  const view = fakeView(cluster);
  return {
    meta: metaOf(view.filters().filters, view.settings, shards),
    classes: desiredOf(view).classes,
  };
}
