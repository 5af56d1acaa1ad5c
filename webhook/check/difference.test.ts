import test from 'ava';
import fc from 'fast-check';
import { type FakeCluster, fakeView } from '../admission/fake/view.ts';
import type { ClusterView, KnownPod } from '../cluster/view.ts';
import { deployment } from '../explain/fake/view.ts';
import { anyFilters, anyPlace } from '../intent/fake/arbitrary.ts';
import { filtersOf, settings } from '../intent/fake/facts.ts';
import { type Filters, noFilters } from '../intent/filters.ts';
import { type Difference, differenceOf, kinds } from './difference.ts';

const replicas = (name: string, count: number, more: Partial<KnownPod> = {}) =>
  Array.from({ length: count }, (_, index) => ({
    namespace: 'shop',
    name: `${name}-7d4b-${index}`,
    containers: ['web', 'proxy'],
    nodeName: `node-${index}`,
    ...deployment(name),
    ...more,
  }));

const compare = (cluster: FakeCluster, yaml: string) => differenceOf(fakeView(cluster), filtersOf(yaml));
const short = ({ changes }: Difference) => changes.map(({ kind, workload, pods }) => [kind, workload, pods]);

test('pods that become mirrored are told by workload, with an example', (t) => {
  const pods = [...replicas('web', 3), ...replicas('api', 2, { labels: { 'pod-template-hash': '7d4b' } })];
  const difference = compare({ pods }, 'filters: [{pod_labels: {app: web}, container_name: web}]');
  t.deepEqual(difference.changes, [
    {
      kind: 'newly mirrored',
      workload: 'shop/Deployment/web',
      pods: 3,
      example: 'web-7d4b-0',
      before: { here: [], nodes: {} },
      after: { here: ['web'], nodes: { web: ['*'] } },
      because: 'filter 1 (pod label app=web, container web)',
    },
  ]);
  t.deepEqual(difference.pods, { changed: 3, unchanged: 2, mirroredBefore: 0, mirroredAfter: 3 });
});

const rows: [string, before: string, after: string, changes: unknown[]][] = [
  [
    'a filter that is gone takes its pods away',
    'filters: [{namespace: shop}]',
    'filters: []',
    [['not mirrored any more', 'shop/Deployment/web', 2]],
  ],
  [
    'other containers of mirrored pods are told',
    'filters: [{namespace: shop}]',
    'filters: [{container_name: web}]',
    [['other containers', 'shop/Deployment/web', 2]],
  ],
  [
    'a filter for some nodes: pods there stay, others go',
    'filters: [{namespace: shop}]',
    'filters: [{node_name: node-0}]',
    [
      ['not mirrored any more', 'shop/Deployment/web', 1],
      ['other nodes', 'shop/Deployment/web', 1],
    ],
  ],
  [
    'a filter in other words changes nothing',
    'filters: [{namespace: shop}]',
    "filters: [{namespace: 'sho?'}]",
    [],
  ],
  [
    'filters in another order change nothing',
    'filters: [{container_name: web}, {container_name: proxy}]',
    'filters: [{container_name: proxy}, {container_name: web}]',
    [],
  ],
];

for (const [title, before, after, changes] of rows) {
  test(title, (t) => {
    t.deepEqual(short(compare({ pods: replicas('web', 2), filters: before }, after)), changes);
  });
}

test('a pod that is on no node yet counts as mirrored when some node mirrors it', (t) => {
  const pods = replicas('web', 1, { nodeName: undefined });
  t.deepEqual(short(compare({ pods }, 'filters: [{node_name: pool-*}]')), [
    ['newly mirrored', 'shop/Deployment/web', 1],
  ]);
});

test('finished pods do not count', (t) => {
  const { pods, changes } = compare({ pods: replicas('web', 1, { phase: 'Failed' }) }, 'allNamespaces: true');
  t.deepEqual(changes, []);
  t.is(pods.changed + pods.unchanged, 0);
});

test('no more than 200 changes are told, and the rest is counted', (t) => {
  const pods = Array.from({ length: 230 }, (_, index) => replicas(`w${index}`, 1)).flat();
  const { changes, moreChanges } = compare({ pods }, 'allNamespaces: true');
  t.is(changes.length, 200);
  t.is(moreChanges, 30);
});

const phases = fc.constantFrom('Running', 'Pending', 'Succeeded');
const owners = fc.option(fc.constantFrom('a', 'b'), { nil: undefined });

/** Pods with names of their own, in namespaces of which each is one thing only. */
const anyCluster = fc
  .array(fc.tuple(anyPlace, phases, owners), { maxLength: 12 })
  .map((places): Pick<ClusterView, 'settings' | 'namespace' | 'pods'> => {
    const namespaces = new Map(
      places.flatMap(([{ namespace }]) => (namespace ? [[namespace.name, namespace] as const] : [])),
    );
    const pods: KnownPod[] = places.map(([{ pod }, phase, owner], index) => ({
      ...pod,
      name: `${pod.name ?? ''}${index}`,
      uid: String(index),
      phase,
      owner:
        owner === undefined
          ? undefined
          : { apiVersion: 'apps/v1', kind: 'DaemonSet', name: owner, uid: owner },
    }));
    return { settings, namespace: (name) => namespaces.get(name), pods: () => pods };
  });

const withFilters = (view: Pick<ClusterView, 'settings' | 'namespace' | 'pods'>, filters: Filters) => ({
  ...view,
  filters: () => ({ filters, problems: [], present: true }),
});

test('filters compared with themselves change nothing', (t) => {
  fc.assert(
    fc.property(anyCluster, anyFilters, (cluster, filters) => {
      const { changes, pods } = differenceOf(withFilters(cluster, filters), filters);
      t.deepEqual(changes, []);
      t.is(pods.mirroredBefore, pods.mirroredAfter);
    }),
  );
});

test('there and back: what came goes, and what went comes', (t) => {
  const opposite = {
    'newly mirrored': 'not mirrored any more',
    'not mirrored any more': 'newly mirrored',
  } as const;
  const seen = ({ changes }: Difference) =>
    changes.map(({ because: _, ...change }) => change).map((change) => JSON.stringify(change));
  const turned = ({ changes }: Difference) =>
    changes.map(({ kind, workload, pods, example, before, after }) =>
      JSON.stringify({
        kind: kind in opposite ? opposite[kind as keyof typeof opposite] : kind,
        workload,
        pods,
        example,
        before: after,
        after: before,
      }),
    );
  // Why a change comes about takes part in how it is grouped, and differs on the way back: pods on their own here.
  const alone = anyCluster.map((cluster) => {
    const pods = [...cluster.pods()].map((pod) => ({ ...pod, owner: undefined }));
    return { ...cluster, pods: () => pods };
  });
  fc.assert(
    fc.property(alone, anyFilters, anyFilters, (cluster, a, b) => {
      const there = differenceOf(withFilters(cluster, a), b);
      const back = differenceOf(withFilters(cluster, b), a);
      t.deepEqual(seen(back).sort(), turned(there).sort());
      t.is(there.pods.mirroredBefore, back.pods.mirroredAfter);
      t.is(there.pods.mirroredAfter, back.pods.mirroredBefore);
    }),
  );
});

test('the order in which pods are read makes no difference', (t) => {
  fc.assert(
    fc.property(anyCluster, anyFilters, (cluster, filters) => {
      const reversed = [...cluster.pods()].reverse();
      const backwards = { ...cluster, pods: () => reversed };
      t.deepEqual(
        differenceOf(withFilters(backwards, noFilters), filters),
        differenceOf(withFilters(cluster, noFilters), filters),
      );
    }),
  );
});

test('each pod counts once, and changes are told in the order of their kinds', (t) => {
  fc.assert(
    fc.property(anyCluster, anyFilters, anyFilters, (cluster, a, b) => {
      const { changes, pods } = differenceOf(withFilters(cluster, a), b);
      t.is(
        changes.reduce((sum, change) => sum + change.pods, 0),
        pods.changed,
      );
      t.is(
        pods.changed + pods.unchanged,
        [...cluster.pods()].filter(({ phase }) => phase !== 'Succeeded').length,
      );
      const order = changes.map(({ kind }) => kinds.indexOf(kind));
      t.deepEqual(order, order.toSorted());
    }),
  );
});
