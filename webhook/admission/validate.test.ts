import test from 'ava';
import fc from 'fast-check';
import { type FakeReview, fakeRequest, reviewBody } from './fake/review.ts';
import { fakeView } from './fake/view.ts';
import { mutate } from './mutate.ts';
import { readReview, reviewOf } from './review.ts';
import { validate } from './validate.ts';

const view = fakeView({
  namespaces: { shop: 'enabled', bank: null, podmirror: null },
  filters: 'filters: [{namespace: bank, container_name: web}]',
  pods: [{ namespace: 'shop', name: 'web-1' }],
});
const misplaced = { metadata: { annotations: { 'mirror.wallarm.com/enabled': 'yes' } } };

const passed: [title: string, review: FakeReview][] = [
  ['a kind that has no template', { kind: 'Service', object: misplaced }],
  ['a kind of the same name in another group', { kind: 'Deployment', group: 'x.io', object: misplaced }],
  ['a deletion', { kind: 'Deployment', group: 'apps', operation: 'DELETE', oldObject: misplaced }],
  ['a subresource', { kind: 'Deployment', group: 'apps', subResource: 'scale', object: misplaced }],
  ['an exec', { operation: 'CONNECT', subResource: 'exec', object: misplaced }],
  ['another ConfigMap', { kind: 'ConfigMap', name: 'other', namespace: 'podmirror', object: {} }],
  ['that ConfigMap elsewhere', { kind: 'ConfigMap', name: 'podmirror-filters', object: {} }],
  ['a kind named like a property of objects', { kind: 'constructor', object: misplaced }],
];

for (const [title, review] of passed) {
  test(`${title} passes without a word`, (t) => {
    t.deepEqual(validate(fakeRequest(review), view), { patch: [], warnings: [] });
  });
}

const kinds = [
  'Pod.',
  'ConfigMap.',
  'Namespace.',
  'Deployment.apps',
  'CronJob.batch',
  'ReplicationController.',
] as const;
const anyRequest = fc.record({
  kind: fc.constantFrom(...kinds),
  operation: fc.constantFrom('CREATE', 'UPDATE', 'DELETE', 'CONNECT'),
  namespace: fc.constantFrom('shop', 'bank', 'podmirror', ''),
  name: fc.constantFrom('', 'podmirror-filters', 'shop'),
});
const keys = [
  'metadata',
  'spec',
  'template',
  'annotations',
  'labels',
  'data',
  'filters.yaml',
  'ownerReferences',
];
const ourWords = ['mirror.wallarm.com/enabled', 'wallarm-mirror', 'enabled', '__proto__', ...keys];
// Objects that are nearly right find more than noise does.
const { anyObject } = fc.letrec((tie) => ({
  anyObject: fc.oneof(
    { maxDepth: 6, depthSize: 'medium' },
    fc.constantFrom(...ourWords, 'true', 'yes', 'filters: [{namespace: a}]', 'filters: [{'),
    fc.jsonValue({ maxDepth: 2 }),
    fc.array(tie('anyObject'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...ourWords), fc.string()), tie('anyObject'), { maxKeys: 5 }),
  ),
}));

test('no object, however odd, makes a decision fail', (t) => {
  fc.assert(
    fc.property(anyRequest, anyObject, anyObject, ({ kind, ...request }, object, oldObject) => {
      const [name = '', group = ''] = kind.split('.');
      const read = fakeRequest({ ...(request as FakeReview), kind: name, group, object, oldObject });
      for (const decide of [mutate, validate]) {
        const { response } = reviewOf(read.uid, decide(read, view));
        if (!response.allowed && response.status?.code !== 422) return false;
        if (response.warnings?.some((warning) => warning.length > 256)) return false;
      }
      return true;
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

test('no body, however odd, makes reading the envelope fail', (t) => {
  fc.assert(fc.property(fc.jsonValue(), (body) => 'request' in readReview(body)));
  t.pass();
});

const badEnvelopes: [title: string, body: unknown, said: RegExp][] = [
  [
    'no body',
    undefined,
    /^this is no AdmissionReview of admission\.k8s\.io\/v1: the body: .*\. Write admissionReviewVersions: \[v1\]/,
  ],
  ['another version', { ...reviewBody({}), apiVersion: 'admission.k8s.io/v1beta1' }, /: apiVersion: /],
  ['no request', { ...reviewBody({}), request: undefined }, /: request: /],
];

for (const [title, body, said] of badEnvelopes) {
  test(`a review with ${title} is told what it lacks`, (t) => {
    const read = readReview(body);
    t.is(read.request, null);
    t.regex('wrong' in read ? read.wrong : '', said);
  });
}

test('a refusal by policy is a 403, one by content a 422', (t) => {
  const problems = [{ where: 'a', wrong: 'b', instead: 'c' }];
  const of = (because: 'policy' | 'content') =>
    reviewOf('1', { patch: [], warnings: [], denial: { because, subject: 'x', problems } }).response;
  t.deepEqual(of('policy').status, { code: 403, reason: 'Forbidden', message: 'a: b. c' });
  t.deepEqual(of('content').status, { code: 422, reason: 'Invalid', message: 'a: b. c' });
  t.false(of('policy').allowed);
});
