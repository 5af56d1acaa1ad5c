import test from 'ava';
import { type FakeCluster, fakeView } from '../admission/fake/view.ts';
import { deployment } from '../explain/fake/view.ts';
import { checkFilters } from './check.ts';
import { readFiltersFile } from './filters-file.ts';
import { renderCheck } from './render.ts';

const web = (name: string, more: object = {}) => ({
  namespace: 'shop',
  name: `web-7d4b-${name}`,
  containers: ['web', 'proxy'],
  nodeName: 'node-1',
  ...deployment('web'),
  ...more,
});
const api = { namespace: 'bank', name: 'api', containers: ['api'], nodeName: 'pool-1' };
const cluster: FakeCluster = {
  namespaces: { shop: null, bank: null, podmirror: null },
  pods: [web('a'), web('b'), web('c', { nodeName: undefined }), api],
};

const check = (yaml: string, against: FakeCluster | undefined) =>
  checkFilters(readFiltersFile(yaml, { ownNamespace: 'podmirror' }), against && fakeView(against));

const text = (yaml: string, against: FakeCluster | undefined) =>
  `\n${renderCheck(check(yaml, against), { file: 'filters.yaml', against: 'the cluster' })}`;

test('all problems of refused filters, and nothing is compared', (t) => {
  t.snapshot(text("filters:\n- {namespce: shop}\n- {namespace: '[a'}\n- {}\n", cluster));
});

test('filters without a cluster to compare them with', (t) => {
  t.snapshot(text('allNamespaces: true\nfilters: [{namespace: shop}]\n', undefined));
});

test('new filters against a cluster', (t) => {
  const before = 'filters: [{namespace: bank}, {namespace: shop, container_name: web}]';
  const after = "filters: [{namespace: shop, container_name: proxy, node_name: 'pool-*'}, {namespace: shpo}]";
  t.snapshot(text(after, { ...cluster, filters: before }));
});

test('filters that change nothing', (t) => {
  t.snapshot(text('filters: [{namespace: shop}]', { ...cluster, filters: "filters: [{namespace: 'sho?'}]" }));
});

test('filters against a cluster whose filters are refused', (t) => {
  t.snapshot(text('filters: [{namespace: bank}]', { ...cluster, filters: 'filter: []' }));
});

test('what the webhook would refuse is refused, also around the filters', (t) => {
  const configMap = {
    kind: 'ConfigMap',
    metadata: { name: 'podmirror-filters' },
    data: { 'filters.yml': '', other: '' },
  };
  const { problems, difference } = check(JSON.stringify(configMap), cluster);
  t.is(problems.length, 2);
  t.regex(problems[0] ?? '', /Write filters\.yaml instead of filters\.yml$/);
  t.is(difference, null);
});

test("podmirror's own annotation is refused as the webhook does", (t) => {
  const { problems } = check('filters: [{pod_annotations: {podmirror.io/intent: "*"}}]', undefined);
  t.regex(problems[0] ?? '', /podmirror itself writes this annotation/);
});

test('without a cluster, no filter is said to match nothing', (t) => {
  t.deepEqual(check('filters: [{namespace: nowhere}]', undefined), {
    problems: [],
    warnings: [],
    notes: [],
    difference: null,
  });
});
