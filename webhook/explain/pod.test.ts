import test from 'ava';
import type { FakeCluster } from '../admission/fake/view.ts';
import type { KnownPod } from '../cluster/view.ts';
import type { PodExplanation } from './explanation.ts';
import { deployment, viewOf } from './fake/view.ts';
import { explainPod } from './pod.ts';

const web = { namespace: 'shop', name: 'web-7d4b-x7k2p', ...deployment('web'), nodeName: 'node-1' };
const enabled: FakeCluster = { namespaces: { shop: 'enabled' }, pods: [web] };

function explained(
  cluster: FakeCluster,
  options?: Parameters<typeof viewOf>[1],
  name = web.name,
): PodExplanation {
  const explanation = explainPod(viewOf(cluster, options), 'shop', name);
  if (explanation.kind !== 'pod') throw new Error(JSON.stringify(explanation));
  return explanation;
}

const withPod = (pod: Partial<KnownPod>, more: FakeCluster = {}): FakeCluster => ({
  ...more,
  pods: [{ ...web, ...pod }],
});

test('a pod of an enabled namespace: mirrored, written so, and an agent attaches to all its containers', (t) => {
  const { verdict, containers, stored, agent, pod, classId } = explained(enabled);
  t.true(verdict.mirrored);
  t.is(verdict.rule, 'namespace-enabled');
  t.deepEqual(pod, {
    namespace: 'shop',
    name: web.name,
    phase: 'Running',
    node: 'node-1',
    workload: 'Deployment web',
  });
  t.deepEqual(
    containers.map(({ name, mirrored }) => [name, mirrored]),
    [['web', true]],
  );
  t.is(stored.classId, classId);
  t.true(stored.agrees);
  t.is(stored.because, 'its entry is what it would be if written now');
  t.deepEqual(agent.attaches, ['web']);
});

test('an explanation is plain JSON', (t) => {
  for (const cluster of [enabled, withPod({ nodeName: undefined })]) {
    const explanation = explained(cluster);
    t.deepEqual(JSON.parse(JSON.stringify(explanation)), explanation);
  }
});

test('each container is told with the grant that names it, or why none does', (t) => {
  const filters =
    'filters: [{container_name: web}, {container_name: debug}, {container_name: db, node_name: pool-*}]';
  const pod = { containers: ['migrate', 'web', 'db'], ephemeralContainers: ['debug'] };
  const { containers } = explained(withPod(pod, { filters }));
  t.deepEqual(containers, [
    {
      name: 'migrate',
      ephemeral: false,
      mirrored: false,
      because: 'no rule names it, only web, debug, db',
    },
    { name: 'web', ephemeral: false, mirrored: true, because: 'filter 1 (container web)' },
    {
      name: 'db',
      ephemeral: false,
      mirrored: false,
      because: 'filter 3 (container db, node pool-*) is for nodes pool-*; the pod runs on node-1',
    },
    { name: 'debug', ephemeral: true, mirrored: true, because: 'filter 2 (container debug)' },
  ]);
});

test('an ephemeral container of a sibling takes part in what is written', (t) => {
  const debugged = { ...web, name: 'web-7d4b-zzzzz', ephemeralContainers: ['debug'] };
  const filters = 'filters: [{container_name: web}, {container_name: debug}]';
  const { stored, agent } = explained({ filters, pods: [web, debugged] });
  t.is(stored.grants.length, 2);
  t.true(stored.agrees);
  t.deepEqual(agent.attaches, ['web']);
});

test('a container is mirrored if an agent attaches to it, be it for the sake of a sibling', (t) => {
  const filters = 'allNamespaces: true\nfilters: [{container_name: debug}]';
  const debugged = { ...web, name: 'web-7d4b-zzzzz', ephemeralContainers: ['debug'] };
  const { containers, agent } = explained({ filters, pods: [web, debugged] }, {}, debugged.name);
  t.deepEqual(agent.attaches, ['web', 'debug']);
  t.deepEqual(
    containers.filter(({ mirrored }) => mirrored).map(({ name }) => name),
    agent.attaches,
  );
  t.is(containers[0]?.because, 'allNamespaces is true in the filters');
});

test('the shard is that of the class', (t) => {
  const { stored } = explained(enabled, { shards: 8 });
  const index = Number.parseInt(stored.classId?.slice(-8) ?? '', 16) % 8;
  t.is(stored.configMap, index === 0 ? 'podmirror-intent' : `podmirror-intent-${index}`);
});

const stale: [string, FakeCluster, Parameters<typeof viewOf>[1], agrees: boolean, because: RegExp][] = [
  ['without an intent ConfigMap', enabled, { written: null }, false, /^podmirror-intent is not there$/],
  [
    'when the entry is not written yet',
    enabled,
    { written: { namespaces: { shop: null } } },
    false,
    /^it has no entry yet, though one belongs there$/,
  ],
  [
    'when the entry is left over',
    { ...enabled, namespaces: { shop: 'disabled' } },
    { written: enabled },
    false,
    /left over: nothing asks for it any more/,
  ],
  [
    'when the filters changed since',
    withPod({}, { filters: 'filters: [{namespace: shop}]' }),
    { written: { filters: 'filters: [{namespace: bank}]' } },
    false,
    /^it has no entry, and was made from other filters \(hash [0-9a-f]{16}, now [0-9a-f]{16}\)$/,
  ],
  [
    'when the filters changed since, but not for this pod',
    { ...enabled, filters: 'filters: [{namespace: shop}]' },
    { written: { filters: 'filters: [{namespace: bank}]' } },
    true,
    /other filters \(hash .*\); for this pod it says the same$/,
  ],
  [
    'when nothing is written and nothing belongs there',
    withPod({}),
    {},
    true,
    /^it has no entry, and none belongs there$/,
  ],
  [
    'when a filter moved in the list',
    withPod({}, { filters: 'filters: [{container_name: web}]' }),
    {},
    true,
    /^its entry is what it would be if written now$/,
  ],
];

for (const [title, cluster, options, agrees, because] of stale) {
  test(`whether the ConfigMap agrees is told ${title}`, (t) => {
    const { stored } = explained(cluster, options);
    t.is(stored.agrees, agrees);
    t.regex(stored.because, because);
  });
}

test('a ConfigMap of other settings is told by the annotations that its ids take', (t) => {
  const view = viewOf(enabled);
  const settings = { ...view.settings, annotationKey: 'example.com/mirror' };
  const explanation = explainPod({ ...view, settings }, 'shop', web.name);
  t.regex(
    (explanation as PodExplanation).stored.because,
    /other settings than those used here: its ids take the annotations mirror.wallarm.com\/enabled; here they take example.com\/mirror/,
  );
});

test('an agent does what the ConfigMap says now, not what it should say', (t) => {
  const disabled = { ...enabled, namespaces: { shop: 'disabled' } };
  const { verdict, agent } = explained(disabled, { written: enabled });
  t.false(verdict.mirrored);
  t.deepEqual(agent.attaches, ['web']);
  t.is(agent.because, 'namespace shop is labelled wallarm-mirror=enabled');
});

const idle: [string, FakeCluster, RegExp][] = [
  [
    'a finished pod',
    withPod({ phase: 'Succeeded' }, { namespaces: { shop: 'enabled' } }),
    /finished \(Succeeded\)/,
  ],
  ['a pod without an entry', withPod({}), /^podmirror-intent has no entry shop\.[0-9a-f]{16}$/],
  [
    'a pod on another node',
    withPod({}, { filters: 'filters: [{namespace: shop, node_name: pool-*}]' }),
    /^the entry is for nodes pool-\*, and the pod runs on node-1$/,
  ],
];

for (const [title, cluster, because] of idle) {
  test(`an agent attaches to nothing of ${title}`, (t) => {
    const { agent } = explained(cluster);
    t.deepEqual(agent.attaches, []);
    t.deepEqual(agent.whenScheduled, []);
    t.regex(agent.because, because);
  });
}

test('a pod that is on no node yet: what would be attached to where', (t) => {
  const filters = 'filters: [{container_name: web}, {namespace: shop, node_name: pool-*}, {pod_name: none}]';
  const pod = { nodeName: undefined, containers: ['web', 'proxy'], phase: 'Pending' };
  const { agent, containers } = explained(withPod(pod, { filters }));
  t.deepEqual(agent.attaches, []);
  t.deepEqual(agent.whenScheduled, [
    { nodes: ['*'], containers: ['web'] },
    { nodes: ['pool-*'], containers: ['web', 'proxy'] },
  ]);
  t.regex(containers[1]?.because ?? '', /the pod is not scheduled yet$/);
});

test('refused filters are told with their problems', (t) => {
  const { filters, verdict } = explained(withPod({}, { filters: 'filters: [{namespce: shop}]' }));
  t.is(filters.problems.length, 1);
  t.regex(filters.problems[0] ?? '', /namespce.*Write namespace/);
  t.is(verdict.rule, 'nothing-asked');
});

test('a view that is not synced says so', (t) => {
  t.false(explained({ ...enabled, synced: false }).synced);
});

const unknown: [string, [string, string], near: string[], because: RegExp][] = [
  ['begins like it', ['shop', 'web'], ['shop/web-7d4b-x7k2p'], /no pod web in namespace shop$/],
  ['is nearly called so', ['shop', 'wbe-7d4b-x7k2p'], ['shop/web-7d4b-x7k2p'], /no pod wbe-7d4b-x7k2p/],
  [
    'is in another namespace',
    ['nope-nope', 'web-7d4b-x7k2p'],
    ['shop/web-7d4b-x7k2p'],
    /no namespace nope-nope$/,
  ],
  ['has a namespace that is nearly called so', ['shp', 'x'], ['shop'], /no namespace shp$/],
  ['is nowhere', ['shop', 'zzzzzzzzzzzzzzzz'], [], /no pod z+ in/],
];

for (const [title, [namespace, name], near, because] of unknown) {
  test(`for a pod that is not there, one is named that ${title}`, (t) => {
    const explanation = explainPod(viewOf(enabled), namespace, name);
    if (explanation.kind !== 'unknown') return t.fail();
    t.deepEqual(explanation.near, near);
    t.regex(explanation.because, because);
  });
}
