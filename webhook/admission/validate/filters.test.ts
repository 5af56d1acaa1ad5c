import test from 'ava';
import { parseFilters } from '../../intent/filters.ts';
import { fakeRequest } from '../fake/review.ts';
import { type FakeCluster, fakeView } from '../fake/view.ts';
import { reviewOf } from '../review.ts';
import { validate } from '../validate.ts';
import { filterWarnings, maxComparisons } from './filter-warnings.ts';

const cluster: FakeCluster = {
  namespaces: {
    'shop-eu': null,
    'shop-us': null,
    bank: null,
    live: 'enabled',
    quiet: 'disabled',
    podmirror: null,
    'kube-system': null,
  },
  pods: [
    { namespace: 'bank', name: 'api-1', labels: { team: 'backend' }, containers: ['web', 'log'] },
    {
      namespace: 'bank',
      name: 'db-0',
      labels: { team: 'data' },
      annotations: { 'example.com/tier': 'gold' },
    },
    { namespace: 'shop-eu', name: 'front-1', labels: { team: 'frontend', stage: 'live' } },
    { namespace: 'shop-us', name: 'front-2', labels: { team: 'frontend' } },
  ],
};

function answered(object: unknown, of: FakeCluster = cluster) {
  const request = fakeRequest({
    kind: 'ConfigMap',
    name: 'podmirror-filters',
    namespace: 'podmirror',
    object,
  });
  return reviewOf('1', validate(request, fakeView(of))).response;
}

const filtersOf = (yaml: string) => ({ metadata: {}, data: { 'filters.yaml': yaml } });

const refused: [title: string, object: unknown][] = [
  ['an open bracket', filtersOf("filters: [{namespace: 'team-['}]")],
  [
    'several mistakes at once',
    filtersOf(`
allNamespace: yes
filters:
  - {}
  - namespaces: shop
  - namespace: ''
    pod_labels: { team: 7 }
  - container_name: '!web,log'
  - pod_name: ${'x'.repeat(300)}
`),
  ],
  ['YAML that does not parse', filtersOf('filters: [')],
  ['no data', {}],
  ['another name of the key', { data: { 'filters.yml': 'filters: []' } }],
  ['more keys than one', { data: { 'filters.yaml': 'filters: []', 'more.yaml': 'x', README: 'y' } }],
  ['binary data', { binaryData: { 'filters.yaml': 'ZmlsdGVyczogW10K' } }],
  ['mistakes inside and around', { data: { 'filters.yaml': 'filter: []', 'filters.yml': 'filters: []' } }],
  [
    "a filter on podmirror's own annotation",
    filtersOf('filters: [{pod_annotations: {podmirror.io/intent: "mirrored*"}}]'),
  ],
  ['a value with line ends', filtersOf('filters: [{namespace: "a\\nb["}]')],
];

for (const [title, object] of refused) {
  test(`filters with ${title} are refused`, (t) => {
    const { allowed, status } = answered(object);
    t.false(allowed);
    t.is(status?.code, 422);
    t.snapshot(status?.message);
  });
}

const accepted: [title: string, yaml: string, warnings?: string[]][] = [
  ['filters that match', 'filters: [{namespace: bank, container_name: web}, {pod_labels: {team: "front*"}}]'],
  ['no filters', 'filters: []'],
  ['nothing at all', ''],
  ['allNamespaces alone', 'allNamespaces: true'],
  [
    'allNamespaces beside filters',
    'allNamespaces: true\nfilters: [{namespace: bank}]',
    [
      'allNamespaces: true mirrors every pod, so a filter beside it adds none: it only narrows the pods that it matches to its containers and nodes. Remove filters:, or set allNamespaces: false',
    ],
  ],
  [
    'a namespace that is not there',
    "filters: [{namespace: 'bankk,shop-*'}, {namespace: 'elsewhere'}]",
    [
      'filters[0].namespace: there is no namespace bankk now. Write bank, or create it',
      'filters[1].namespace: there is no namespace elsewhere now. Create it, or write one that exists',
    ],
  ],
  [
    'an enabled namespace',
    "filters: [{namespace: 'liv?', container_name: web}]",
    [
      'filters[0].namespace: no effect in live, where all pods are mirrored already (wallarm-mirror=enabled). Remove the label if the filter is meant to choose',
    ],
  ],
  [
    'a disabled namespace',
    'filters: [{namespace: quiet}]',
    [
      'filters[0].namespace: no effect in quiet, where nothing is mirrored (wallarm-mirror=disabled). Remove the label if the filter is meant',
    ],
  ],
  [
    'namespaces that are never mirrored',
    "filters: [{namespace: 'podmirror,kube-system'}]",
    ['filters[0].namespace: no effect in podmirror, kube-system, which is never mirrored. Leave it out'],
  ],
  ['all namespaces, or all but some', "filters: [{namespace: '*'}, {namespace: '!kube-*'}]"],
  [
    'a label value that no pod has',
    "filters: [{namespace: bank, pod_labels: {team: 'bakcend'}}]",
    ['filters[0].pod_labels.team: no pod matches bakcend now. Write backend, unless such pods come later'],
  ],
  [
    'a label key that no pod has',
    "filters: [{namespace: bank, pod_labels: {tem: 'backend'}}]",
    ['filters[0].pod_labels.tem: no pod has tem now. Write team, unless such pods come later'],
  ],
  [
    'an annotation key that no pod has',
    "filters: [{pod_annotations: {example.com/teir: 'gold'}}]",
    [
      'filters[0].pod_annotations["example.com/teir"]: no pod has example.com/teir now. Write example.com/tier, unless such pods come later',
    ],
  ],
  [
    'a container that no pod has',
    'filters: [{namespace: bank, container_name: webb}]',
    ['filters[0].container_name: no pod matches webb now. Write web, unless such pods come later'],
  ],
  [
    'a value far from all there are',
    "filters: [{namespace: 'shop-*', pod_labels: {team: 'x*'}}]",
    [
      'filters[0].pod_labels.team: no pod matches x* now; pods that fit otherwise have frontend. Write what they have, unless such pods come later',
    ],
  ],
  [
    'several keys that no pod has together',
    'filters: [{namespace: bank, pod_labels: {team: nobody}, container_name: nothing}]',
    ['filters[0]: no pod matches it now. Compare it with kubectl get pods -A --show-labels'],
  ],
];

for (const [title, yaml, warnings] of accepted) {
  test(`filters with ${title} are taken${warnings ? ' with a warning' : ''}`, (t) => {
    const response = answered(filtersOf(yaml));
    t.true(response.allowed, response.status?.message);
    t.deepEqual(response.warnings, warnings);
  });
}

test('nothing is said about a cluster that has not been read yet', (t) => {
  const yaml = 'filters: [{namespace: bankk}]';
  t.is(answered(filtersOf(yaml), { ...cluster, synced: false }).warnings, undefined);
});

const many = (count: number, nameOf: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => nameOf(n));
const crowds: [title: string, filters: object[], cluster: FakeCluster][] = [
  [
    'fifty filters of 64 absent names beside a thousand namespaces',
    many(50, (n) => many(64, (m) => `team-${n}-nobody-${m}`).join()).map((namespace) => ({ namespace })),
    {
      namespaces: Object.fromEntries(
        many(1000, (n) => `team-${n}-somebody-${n}`).map((name) => [name, null]),
      ),
    },
  ],
  [
    'a thousand filters over ten thousand pods',
    many(1000, (n) => `t${n}`).map((team) => ({ namespace: 'bank', pod_labels: { team } })),
    {
      namespaces: { bank: null },
      pods: many(10_000, (n) => `api-${n}`).map((name) => ({ namespace: 'bank', name })),
    },
  ],
  [
    'filters of 64 values that five hundred pods have nearly',
    many(50, (n) => many(64, (m) => `backend-${n}-x-${m}`).join()).map((team) => ({ pod_labels: { team } })),
    {
      namespaces: { bank: null },
      pods: many(500, (n) => `someones-y-${n}`).map((team) => ({
        namespace: 'bank',
        name: team,
        labels: { team },
      })),
    },
  ],
  [
    'filters of 64 patterns beside a thousand namespaces without mirroring',
    many(50, () => many(64, (m) => `*-${m}-?`).join()).map((namespace) => ({ namespace })),
    { namespaces: Object.fromEntries(many(1000, (n) => `team-${n}`).map((name) => [name, 'disabled'])) },
  ],
];

for (const [title, items, of] of crowds) {
  test(`${title} cost no more than may be spent`, (t) => {
    const { filters } = parseFilters(JSON.stringify({ filters: items }));
    if (!filters) return t.fail();
    const comparisons = { left: maxComparisons };
    const warnings = filterWarnings(filters, fakeView(of), comparisons);
    t.true(warnings.length <= 16);
    // What is under way when it is spent: one filter against one pod, or its patterns against the namespaces.
    t.true(comparisons.left < maxComparisons && comparisons.left > -65_000, `${comparisons.left} are left`);
  });
}

test('of very many absent namespaces the first sixteen are told, those that can be with what was meant', (t) => {
  const yaml = `filters: [{namespace: '${many(40, (n) => `shop-eu${n}`).join()}'}]`;
  const { warnings = [] } = answered(filtersOf(yaml));
  t.is(warnings.length, 16);
  t.regex(String(warnings[0]), /there is no namespace shop-eu0 now\. Write shop-eu, or create it$/);
});

test('one replica that was labelled by hand is found among thousands', (t) => {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'api', uid: '1' };
  const labels = { team: 'backend' };
  const annotations = {};
  const pods = Array.from({ length: 60_000 }, (_, n) => ({
    namespace: 'bank',
    name: `api-${n}`,
    labels: n === 30_000 ? { team: 'canary' } : labels,
    annotations,
    owner,
  }));
  const warningsOf = (yaml: string) => answered(filtersOf(yaml), { ...cluster, pods }).warnings;
  t.is(warningsOf('filters: [{pod_labels: {team: canary}}]'), undefined);
  t.regex(String(warningsOf('filters: [{pod_labels: {team: canaryy}}]')), /Write canary, unless/);
});

const deletion = (yaml: string) => {
  const oldObject = filtersOf(yaml);
  const request = fakeRequest({
    kind: 'ConfigMap',
    operation: 'DELETE',
    name: 'podmirror-filters',
    namespace: 'podmirror',
    oldObject,
  });
  return reviewOf('1', validate(request, fakeView(cluster))).response;
};

test('filters may be deleted, with a word about what goes with them', (t) => {
  const of = (yaml: string) => deletion(yaml).warnings?.[0];
  t.true(deletion('filters: [{namespace: a}]').allowed);
  t.regex(
    String(of('filters: [{namespace: a}]')),
    /^podmirror-filters is gone, and its filter with it: only /,
  );
  t.regex(String(of('filters: [{namespace: a}, {namespace: b}]')), /and its 2 filters with it/);
  t.regex(String(of('allNamespaces: true')), /and allNamespaces with it/);
  t.is(of('filters: []'), undefined);
  t.is(of('filters: ['), undefined);
});

test('filters that go because all ConfigMaps are deleted at once have no name in the request', (t) => {
  const old = (name: string) => ({ ...filtersOf('filters: [{namespace: a}]'), metadata: { name } });
  const deleted = (name: string) => {
    const oldObject = old(name);
    const request = fakeRequest({
      kind: 'ConfigMap',
      operation: 'DELETE',
      namespace: 'podmirror',
      oldObject,
    });
    return validate(request, fakeView(cluster)).warnings.length;
  };
  t.is(deleted('podmirror-filters'), 1);
  t.is(deleted('kube-root-ca.crt'), 0);
});
