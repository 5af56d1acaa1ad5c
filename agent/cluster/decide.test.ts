import test from 'ava';
import fc from 'fast-check';
import { grantedContainers } from '../../webhook/intent/grant.ts';
import { decide, type NodeFacts } from './decide.ts';
import { cgroupsOf, grant, idOf, intentFor, nodePod, uid } from './fake/node.ts';
import type { NodePod } from './pod.ts';
import { podCgroupsOf } from './pod-cgroups.ts';

const facts = (given: Partial<NodeFacts>): NodeFacts => ({
  pods: [],
  intent: null,
  node: 'node-a',
  ownNamespace: 'podmirror',
  cgroups: podCgroupsOf(cgroupsOf({ 1: [1, 2], 2: [3] })),
  nameOf: () => undefined,
  ...given,
});

/** `web: because` for the chosen, `proxy: -` for the others, `?: -` for the nameless. */
const containersOf = (given: Partial<NodeFacts>) =>
  decide(facts(given)).wanted.flatMap(({ containers }) =>
    containers.map(({ name = '?', because = '-' }) => `${name}: ${because}`),
  );
const refusalsOf = (given: Partial<NodeFacts>) =>
  decide(facts(given)).refused.map(({ container = '(pod)', because }) => `${container}: ${because}`);

const names = (id: string) => ({ [idOf(1)]: 'web', [idOf(2)]: 'proxy' })[id];
const pod = nodePod();
const byWeb = grant({ containers: ['web'], because: 'filter 2 (namespace shop, container web)' });

const rows: { title: string; facts: Partial<NodeFacts>; containers: string[]; refusals?: string[] }[] = [
  { title: 'nothing is asked', facts: { pods: [pod], nameOf: names }, containers: [] },
  {
    title: 'all containers are asked for',
    facts: { pods: [pod], intent: intentFor([pod, grant()]), nameOf: names },
    containers: ['web: filter 1 (namespace shop)', 'proxy: filter 1 (namespace shop)'],
  },
  {
    title: 'one container is asked for',
    facts: { pods: [pod], intent: intentFor([pod, byWeb]), nameOf: names },
    containers: ['web: filter 2 (namespace shop, container web)', 'proxy: -'],
    refusals: ['proxy: filter 2 (namespace shop, container web) names web only'],
  },
  {
    title: 'the names are not known yet',
    facts: { pods: [pod], intent: intentFor([pod, grant()]) },
    containers: ['?: -', '?: -'],
  },
  {
    title: 'the status names them',
    facts: {
      pods: [nodePod({ statuses: [{ name: 'proxy', id: idOf(1), running: true }] })],
      intent: intentFor([pod, grant()]),
      nameOf: names,
    },
    containers: ['proxy: filter 1 (namespace shop)', 'proxy: filter 1 (namespace shop)'],
  },
  {
    title: 'the filter names another node',
    facts: { pods: [pod], intent: intentFor([pod, grant({ nodes: ['edge-*', 'db-1'] })]) },
    containers: [],
    refusals: ['(pod): filter 1 (namespace shop) asks for it on nodes edge-*, db-1, and this is node-a'],
  },
  {
    title: 'a node that one filter names does not widen another',
    facts: {
      pods: [pod],
      intent: intentFor([pod, byWeb, grant({ containers: ['proxy'], nodes: ['edge-*'] })]),
      nameOf: names,
    },
    containers: ['web: filter 2 (namespace shop, container web)', 'proxy: -'],
    refusals: ['proxy: filter 2 (namespace shop, container web) names web only'],
  },
  {
    title: "it is podmirror's own namespace",
    facts: { pods: [pod], intent: intentFor([pod, grant()]), ownNamespace: 'shop' },
    containers: [],
    refusals: ["(pod): podmirror's own namespace is never mirrored"],
  },
  {
    title: 'the pod has completed',
    facts: { pods: [nodePod({ completed: true })], intent: intentFor([pod, grant()]), nameOf: names },
    containers: [],
  },
  {
    title: 'the pod has no cgroup yet',
    facts: { pods: [nodePod({ uid: uid(9) })], intent: intentFor([pod, grant()]) },
    containers: [],
  },
  {
    title: 'a label that takes part says it is another class',
    facts: { pods: [nodePod({ labels: { app: 'db' } })], intent: intentFor([pod, grant()]) },
    containers: [],
  },
  {
    title: 'only an ephemeral container is asked for, and a debugger came',
    facts: {
      pods: [nodePod({ ephemeralContainers: ['debug-1'] })],
      intent: intentFor([pod, grant({ containers: ['debug-*'] })]),
      nameOf: (id) => (id === idOf(1) ? 'web' : 'debug-1'),
    },
    containers: ['web: -', 'debug-1: filter 1 (namespace shop)'],
    refusals: [
      'web: filter 1 (namespace shop) names debug-* only',
      'proxy: filter 1 (namespace shop) names debug-* only',
    ],
  },
];

for (const { title, facts, containers, refusals = [] } of rows) {
  test(`decided: ${title}`, (t) => {
    t.deepEqual(containersOf(facts), containers);
    t.deepEqual(refusalsOf(facts), refusals);
  });
}

test('of two pods that claim one cgroup neither is mirrored', (t) => {
  const impostor = nodePod({ uid: uid(7), cgroupUid: uid(1), name: 'impostor' });
  const { wanted, refused } = decide(
    facts({ pods: [pod, impostor], intent: intentFor([pod, grant()]), nameOf: names }),
  );
  t.deepEqual(wanted, []);
  t.deepEqual(
    refused.map((refusal) => [refusal.pod.name, refusal.isProblem]),
    [
      ['web-1', true],
      ['impostor', true],
    ],
  );
});

test('a chosen container that runs and has no cgroup is missing, one that does not run is not', (t) => {
  const statuses = [
    { name: 'web', id: idOf(8), running: true },
    { name: 'proxy', id: idOf(9), running: false },
  ];
  const { missing } = decide(facts({ pods: [nodePod({ statuses })], intent: intentFor([pod, grant()]) }));
  t.deepEqual(
    missing.map(({ container }) => container),
    ['web'],
  );
});

const anyName = fc.constantFrom('web', 'proxy', 'debug-1');
const anyGrant = fc.record({
  containers: fc.uniqueArray(fc.constantFrom('*', 'web', 'debug-*', '!web'), { minLength: 1 }),
  nodes: fc.uniqueArray(fc.constantFrom('*', 'node-a', 'edge-*', '!edge-*'), { minLength: 1 }),
  because: fc.constantFrom('a', 'b'),
});
const anyPod: fc.Arbitrary<NodePod> = fc
  .record({
    n: fc.integer({ min: 1, max: 3 }),
    namespace: fc.constantFrom('shop', 'podmirror'),
    containers: fc.uniqueArray(anyName, { minLength: 1 }),
    completed: fc.boolean(),
  })
  .map(({ n, ...given }) => nodePod({ ...given, uid: uid(n), name: `pod-${n}` }));

test('whatever is known, exactly the named containers that a grant gives on this node are wanted', (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(anyPod, { selector: ({ uid }) => uid }),
      fc.array(anyGrant, { minLength: 1, maxLength: 3 }),
      fc.constantFrom('node-a', 'edge-1'),
      fc.dictionary(fc.constantFrom(idOf(1), idOf(2), idOf(3)), anyName),
      (pods, grants, node, known) => {
        const intent = intentFor(...pods.map((one): [NodePod, ...typeof grants] => [one, ...grants]));
        const { wanted } = decide(facts({ pods, intent, node, nameOf: (id) => known[id] }));
        for (const { pod: one, containers } of wanted) {
          t.false(one.completed || one.namespace === 'podmirror');
          const granted = grantedContainers(grants, one, node);
          for (const { name, because } of containers) {
            t.is(because !== undefined, name !== undefined && granted.includes(name));
          }
        }
        const asked = pods.filter(
          (one) =>
            !one.completed &&
            one.namespace !== 'podmirror' &&
            one.uid !== uid(3) &&
            grantedContainers(grants, one, node).length > 0,
        );
        t.deepEqual(wanted.map(({ pod: { uid } }) => uid).sort(), asked.map(({ uid }) => uid).sort());
      },
    ),
  );
});
