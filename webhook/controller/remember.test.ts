import test from 'ava';
import { systemClock } from '../cluster/clock.ts';
import { podObject } from '../cluster/fake/apiserver.ts';
import { until } from '../cluster/fake/until.ts';
import { podFactsOf } from '../cluster/pod.ts';
import type { Verdict } from '../intent/model.ts';
import { resolveIntent } from '../intent/resolve.ts';
import { type Scene, settings, startScene, type World } from './fake/scene.ts';
import { createMemory } from './remember.ts';

const shop = (world: World) => {
  world.putNamespace('shop', { 'wallarm-mirror': 'enabled' });
  world.putPod({ name: 'a' });
};

async function scene(
  t: Parameters<typeof startScene>[0],
  options: Partial<Parameters<typeof createMemory>[0]> = {},
) {
  const scene = await startScene(t, { before: shop });
  scene.lead();
  await until(() => scene.isRight() && scene.cluster.intent()?.classes.size === 1);
  const { api, cluster, log } = scene;
  const memory = createMemory({ api, cluster, clock: systemClock, log, ...options });
  t.teardown(() => memory.stop());
  const admit = (pod: Parameters<typeof podObject>[0]) => {
    const facts = podFactsOf(podObject(pod));
    return memory.remember(facts, verdictOf(scene, facts));
  };
  return { ...scene, memory, admit };
}

function verdictOf({ cluster }: Scene, pod: ReturnType<typeof podFactsOf>): Verdict {
  const { filters } = cluster.filters();
  return resolveIntent({ pod, namespace: cluster.namespace(pod.namespace), filters, settings });
}

const patches = ({ server }: Scene) => server.asked.filter(({ verb }) => verb === 'patch').length;

test('the class of a new pod stands in the ConfigMap when the admission is answered', async (t) => {
  const { admit, classes } = await scene(t);
  t.is(await admit({ name: 'new', containers: ['new'] }), 'written');
  t.is(classes().length, 2);
});

test('a class that is there, and a pod that is not mirrored, are not written', async (t) => {
  const world = await scene(t);
  const before = patches(world);
  t.is(await world.admit({ name: 'b' }), 'known');
  const no = { 'mirror.wallarm.com/enabled': 'false' };
  t.is(await world.admit({ name: 'c', annotations: no }), 'not-mirrored');
  t.is(patches(world), before);
});

test('a thousand pods of five new classes at once are a few writes', async (t) => {
  const world = await scene(t);
  const before = patches(world);
  const outcomes = await Promise.all(
    Array.from({ length: 1000 }, (_, index) =>
      world.admit({ name: `p${index}`, containers: [`c${index % 5}`] }),
    ),
  );
  t.deepEqual(new Set(outcomes), new Set(['written']));
  t.is(patches(world), before + 1);
  t.is(await world.admit({ name: 'later', containers: ['c1'] }), 'known');
});

test('what is written asks for no large answer', async (t) => {
  const { admit, server } = await scene(t);
  await admit({ name: 'new', containers: ['new'] });
  t.regex(
    server.asked.findLast(({ verb }) => verb === 'patch')?.headers.accept ?? '',
    /PartialObjectMetadata/,
  );
});

test('while the ConfigMap is made from other filters, the controller is left to do it', async (t) => {
  const world = await scene(t);
  const { cluster, shard, putShard, admit } = world;
  const meta = JSON.parse(shard()?._meta ?? '{}');
  const other = {
    ...cluster,
    intent: () => ({ meta: { ...meta, filtersHash: 'other' }, classes: new Map() }),
  };
  const memory = createMemory({ api: world.api, cluster: other, clock: systemClock, log: world.log });
  const facts = podFactsOf(podObject({ name: 'new', containers: ['new'] }));
  t.is(await memory.remember(facts, verdictOf(world, facts)), 'other-filters');
  putShard({});
  await until(() => cluster.intent() === null);
  await until(() => cluster.intent() !== null);
  t.is(await admit({ name: 'new', containers: ['new'] }), 'written');
});

test('a name that is not chosen yet is left to the controller when a filter asks for names', async (t) => {
  const world = await scene(t);
  world.putFilters('filters: [{pod_name: web-*}]');
  await until(() => world.cluster.intent()?.meta.namePatterns.length === 1);
  const { name: _, ...facts } = podFactsOf(podObject({ name: 'x', containers: ['new'] }));
  const pod = { ...facts, name: undefined };
  t.is(await world.memory.remember(pod, verdictOf(world, pod)), 'name-unknown');
});

test('a server that hangs or refuses holds nobody up for longer than the time allowed, and what waits is bounded', async (t) => {
  const world = await scene(t, { timeoutMs: 300, maxWaiting: 10 });
  world.server.fault({ kind: 'hang' }, ({ verb }) => verb === 'patch', 1e9);
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, (_, index) => world.admit({ name: `p${index}`, containers: [`c${index}`] })),
  );
  t.is(outcomes.filter((outcome) => outcome === 'failed').length, 10);
  t.is(outcomes.filter((outcome) => outcome === 'full').length, 90);
  world.server.heal();
  t.is(await world.admit({ name: 'p1', containers: ['c1'] }), 'written');
  t.is(world.memory.counts.failed, 10);
});

test('stop settles after what is under way, and nothing is taken afterwards', async (t) => {
  const { admit, memory, classes } = await scene(t);
  const under = admit({ name: 'new', containers: ['new'] });
  await memory.stop();
  t.is(await under, 'written');
  t.is(await admit({ name: 'newer', containers: ['newer'] }), 'full');
  t.is(classes().length, 2);
});
