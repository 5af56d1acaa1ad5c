import test from 'ava';
import fc from 'fast-check';
import { podObject } from './fake/apiserver.ts';
import { knownPodOf, podFactsOf } from './pod.ts';

test('init containers and containers are named in order, ephemeral ones apart', (t) => {
  const object = podObject({ name: 'a', containers: ['web', 'log'], ephemeralContainers: ['debug'] });
  const spec = {
    ...object.spec,
    initContainers: [{ name: 'migrate' }, { name: 'mesh', restartPolicy: 'Always' }],
  };
  const facts = podFactsOf({ ...object, spec });
  t.deepEqual(facts.containers, ['migrate', 'mesh', 'web', 'log']);
  t.deepEqual(facts.ephemeralContainers, ['debug']);
  t.is(facts.nodeName, 'node-1');
});

test('at admission the namespace may stand only in the request, and the name nowhere', (t) => {
  const object = { metadata: { generateName: 'web-' }, spec: { containers: [{ name: 'web' }] } };
  t.like(podFactsOf(object, 'shop'), { namespace: 'shop', name: undefined, nodeName: undefined, labels: {} });
  t.throws(() => podFactsOf(object), { message: /^metadata\.namespace: is missing/ });
});

test('a pod that is watched has a name, a uid, a phase and maybe the one who controls it', (t) => {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-1', uid: 'u' };
  const object = podObject({ name: 'a', owner });
  t.deepEqual(knownPodOf(object).owner, owner);
  const references = [{ ...owner, controller: false }];
  t.is(
    knownPodOf({ ...object, metadata: { ...object.metadata, ownerReferences: references } }).owner,
    undefined,
  );
  t.throws(() => knownPodOf({ ...object, metadata: { namespace: 'shop' } }), { message: /metadata\.name/ });
});

test('what is no pod is refused in words', (t) => {
  t.throws(() => podFactsOf({ kind: 'Deployment', metadata: {}, spec: {} }, 'x'), {
    message: /^This is no pod: kind: /,
  });
  t.throws(() => podFactsOf(null, 'x'), { message: /^This is no pod: object: / });
  t.throws(() => podFactsOf('pod', 'x'), { message: /^This is no pod/ });
});

test('what no real pod has is left out, since nothing else bounds it', (t) => {
  const object = podObject({ name: 'a' });
  const long = 'x'.repeat(100_000);
  const containers = Array.from({ length: 5000 }, (_, index) => ({ name: `c${index}` }));
  const annotations = { large: long, usual: 'x'.repeat(10_000) };
  const owner = { apiVersion: 'v1', kind: 'Odd', name: long, uid: 'u', controller: true };
  const pod = knownPodOf({
    ...object,
    metadata: { ...object.metadata, annotations, ownerReferences: [owner] },
    spec: { ...object.spec, containers: [...containers, { name: long }], ephemeralContainers: containers },
  });
  t.is(pod.containers.length, 1000);
  t.is(pod.ephemeralContainers.length, 1000);
  t.deepEqual(Object.keys(pod.annotations), ['usual']);
  t.is(pod.owner, undefined);
});

test('odd fields count as absent, and nothing but the clear error is ever thrown', (t) => {
  const odd = {
    metadata: {
      name: 7,
      namespace: 'shop',
      labels: { a: 1, b: 'x' },
      annotations: 'none',
      ownerReferences: {},
    },
    spec: { containers: [{ name: 'web' }, null, { image: 'x' }], initContainers: 3, nodeName: {} },
    status: 'odd',
  };
  t.like(podFactsOf(odd), { name: undefined, labels: { b: 'x' }, annotations: {}, containers: ['web'] });
  fc.assert(
    fc.property(fc.anything(), fc.anything(), fc.anything(), (metadata, spec, other) => {
      for (const object of [
        other,
        { metadata, spec },
        { metadata: { name: metadata }, spec: { containers: spec } },
      ]) {
        try {
          const { containers, labels } = podFactsOf(object, 'shop');
          t.true([...containers, ...Object.values(labels)].every((text) => typeof text === 'string'));
        } catch (error) {
          t.regex((error as Error).message, /^This is no pod/);
        }
      }
    }),
  );
});
