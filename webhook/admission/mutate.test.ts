import test from 'ava';
import fc from 'fast-check';
import type { Decision } from './decision.ts';
import { type FakePod, type FakeReview, fakeRequest, podObject } from './fake/review.ts';
import { type FakeCluster, fakeView } from './fake/view.ts';
import { mutate } from './mutate.ts';

const enabled = { 'mirror.wallarm.com/enabled': 'true' };
const intentPath = '/metadata/annotations/podmirror.io~1intent';

const mutated = (pod: FakePod, cluster: FakeCluster = {}, review: FakeReview = {}) =>
  mutate(fakeRequest({ object: podObject(pod), ...review }), fakeView(cluster));

function textOf({ patch: [operation] }: Decision): unknown {
  const value = operation?.value;
  return typeof value === 'object' && value !== null ? Object.values(value)[0] : value;
}

const told: [title: string, pod: FakePod, cluster: FakeCluster, text: string][] = [
  [
    'its annotation says yes',
    { annotations: enabled },
    {},
    'mirrored: the pod is annotated mirror.wallarm.com/enabled=true',
  ],
  [
    'its annotation says no',
    { annotations: { 'mirror.wallarm.com/enabled': 'false' } },
    { namespaces: { shop: 'enabled' } },
    'not mirrored: the pod is annotated mirror.wallarm.com/enabled=false',
  ],
  [
    'its namespace is enabled',
    {},
    { namespaces: { shop: 'enabled' } },
    'mirrored: namespace shop is labelled wallarm-mirror=enabled',
  ],
  [
    'its namespace is disabled',
    { annotations: enabled },
    { namespaces: { shop: 'disabled' } },
    'not mirrored: namespace shop is labelled wallarm-mirror=disabled',
  ],
  [
    'a filter matches',
    { labels: { team: 'ops' } },
    { filters: 'filters: [{namespace: bank}, {pod_labels: {team: "backend,ops"}, container_name: web}]' },
    'mirrored: filter 2 (pod label team=backend,ops, container web)',
  ],
  [
    'all namespaces are mirrored',
    {},
    { filters: 'allNamespaces: true' },
    'mirrored: allNamespaces is true in the filters',
  ],
];

for (const [title, pod, cluster, text] of told) {
  test(`a pod learns what was decided when ${title}`, (t) => {
    t.is(textOf(mutated(pod, cluster)), text);
  });
}

test('the first annotation of a pod brings the map with it', (t) => {
  const { patch } = mutated({}, { namespaces: { shop: 'enabled' } });
  t.is(patch.length, 1);
  t.like(patch[0], { op: 'add', path: '/metadata/annotations' });
});

test('another annotation stays, and the key is escaped as a JSON pointer', (t) => {
  const { patch } = mutated({ annotations: enabled });
  t.is(patch.length, 1);
  t.like(patch[0], { op: 'add', path: intentPath });
});

const silent: [title: string, pod: FakePod, cluster: FakeCluster, review?: FakeReview][] = [
  ['nothing asks for mirroring', {}, { filters: 'filters: [{namespace: bank}]' }],
  ['the value of its annotation is not known', { annotations: { 'mirror.wallarm.com/enabled': 'yes' } }, {}],
  ['its namespace has not been seen yet', { annotations: enabled }, { namespaces: {} }],
  [
    "it is in podmirror's own namespace",
    { annotations: enabled },
    { namespaces: { podmirror: 'enabled' } },
    { namespace: 'podmirror' },
  ],
  [
    'it is in an excluded namespace',
    { annotations: enabled },
    { namespaces: { 'kube-system': 'enabled' } },
    { namespace: 'kube-system' },
  ],
  [
    'it is the mirror of a static pod',
    { annotations: { ...enabled, 'kubernetes.io/config.mirror': '5cf1f2b7' } },
    {},
  ],
  ['it exists already', { annotations: enabled }, {}, { operation: 'UPDATE' }],
  ['it gets an ephemeral container', { annotations: enabled }, {}, { subResource: 'ephemeralcontainers' }],
  ['it is something else', { annotations: enabled }, {}, { kind: 'PodTemplate' }],
];

for (const [title, pod, cluster, review] of silent) {
  test(`a pod is left as it is when ${title}`, (t) => {
    const { patch, denial, remember } = mutated(pod, cluster, review);
    t.deepEqual({ patch, denial, remember }, { patch: [], denial: undefined, remember: undefined });
  });
}

test('a decision that was copied from another pod is replaced', (t) => {
  const { patch } = mutated({
    annotations: { 'podmirror.io/intent': 'mirrored: filter 1 (namespace bank)' },
  });
  t.regex(String(patch[0]?.value), /^not mirrored: nothing asks for it/);
});

test('a mirrored pod is remembered in the namespace of the request, its name still open', (t) => {
  const { remember } = mutated({ annotations: enabled }, {}, { name: '' });
  t.like(remember?.pod, { namespace: 'shop', name: undefined, containers: ['web', 'log'] });
  t.true(remember?.verdict.mirrored);
});

test("the request's name and namespace go before those of the object", (t) => {
  const object = podObject({ name: 'mine', annotations: enabled });
  const elsewhere = { ...object, metadata: { ...object.metadata, namespace: 'bank' } };
  const { remember } = mutate(fakeRequest({ object: elsewhere, name: 'yours' }), fakeView());
  t.like(remember?.pod, { namespace: 'shop', name: 'yours' });
});

test('a filter on the decision itself does not decide', (t) => {
  const filters = 'filters: [{pod_annotations: {podmirror.io/intent: "*"}}]';
  t.is(mutated({ annotations: { 'podmirror.io/intent': 'x' } }, { filters }).remember, undefined);
});

test('an unknown value is warned about, with what to write', (t) => {
  const { warnings } = mutated({ annotations: { 'mirror.wallarm.com/enabled': 'yes' } });
  t.deepEqual(warnings, [
    'the pod is annotated mirror.wallarm.com/enabled=yes, which counts as unset. Write "true"',
  ]);
});

test('a slip in the key is warned about', (t) => {
  const { warnings } = mutated({ annotations: { 'mirror.wallarm.com/enable': 'true' } });
  t.deepEqual(warnings, [
    'metadata.annotations[mirror.wallarm.com/enable] is not known. Write metadata.annotations[mirror.wallarm.com/enabled]',
  ]);
});

test('a controller that makes pods is not warned', (t) => {
  const ownerReferences = [
    { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: '1', controller: true },
  ];
  const annotations = { 'mirror.wallarm.com/enabled': 'yes' };
  t.deepEqual(mutated({ annotations, ownerReferences }).warnings, []);
});

test('a decision is cut to what an annotation should hold', (t) => {
  const filters = JSON.stringify({
    filters: Array.from({ length: 20 }, (_, n) => ({ namespace: `shop,${'other-'.repeat(12)}${n}` })),
  });
  const text = String(textOf(mutated({}, { filters })));
  t.is(text.length, 512);
  t.true(text.endsWith('…'));
});

const someText = fc.oneof(
  fc.constantFrom('true', 'false', 'yes', 'web', 'shop-1'),
  fc.string({ unit: 'binary' }),
);
const someMap = fc.dictionary(
  fc.oneof(fc.constantFrom('team', 'mirror.wallarm.com/enabled', 'podmirror.io/intent'), fc.string()),
  someText,
);
const somePod = fc.record({
  metadata: fc.record({ name: fc.string(), labels: someMap, annotations: someMap }, { requiredKeys: [] }),
  spec: fc.record({
    containers: fc.array(fc.record({ name: someText }), { maxLength: 3 }),
  }),
});
const someCluster = fc.record({
  namespaces: fc.record({ shop: fc.constantFrom(null, 'enabled', 'disabled', 'yes') }),
  filters: fc.constantFrom(
    'allNamespaces: true',
    'filters: [{pod_labels: {team: "*"}}]',
    'filters: [{pod_annotations: {team: "*"}}, {container_name: web}]',
    '',
  ),
});

test('to mutate twice is to mutate once', (t) => {
  fc.assert(
    fc.property(somePod, someCluster, (pod, cluster) => {
      const view = fakeView(cluster);
      const object = structuredClone(pod);
      const once = mutate(fakeRequest({ object }), view);
      for (const { path, value } of once.patch) {
        const { metadata } = object as { metadata: { annotations?: Record<string, unknown> } };
        if (path === '/metadata/annotations') metadata.annotations = value as Record<string, unknown>;
        else metadata.annotations = { ...metadata.annotations, 'podmirror.io/intent': value };
      }
      const twice = mutate(fakeRequest({ object }), view);
      t.deepEqual(twice.patch, []);
      t.deepEqual(twice.remember?.verdict, once.remember?.verdict);
    }),
  );
});
