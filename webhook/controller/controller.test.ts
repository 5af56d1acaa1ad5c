import test from 'ava';
import fc from 'fast-check';
import { podObject } from '../cluster/fake/apiserver.ts';
import { until } from '../cluster/fake/until.ts';
import { knownPodOf } from '../cluster/pod.ts';
import { classOf, metaOf } from '../intent/class.ts';
import { noFilters } from '../intent/filters.ts';
import { settings, startScene, type World } from './fake/scene.ts';

const enabled = { 'wallarm-mirror': 'enabled' };
const yes = { 'mirror.wallarm.com/enabled': 'true' };

function shopOfTwo(world: World) {
  world.putNamespace('shop', enabled);
  world.putPod({ name: 'a' });
  world.putPod({ name: 'b', containers: ['web', 'log'] });
}

test('pods that were there before are taken up, and the ConfigMap is made with its labels', async (t) => {
  const { lead, classes, isRight, server } = await startScene(t, { before: shopOfTwo });
  lead();
  await until(isRight);
  t.is(classes().length, 2);
  const made = server.get('/api/v1/namespaces/podmirror/configmaps/podmirror-intent');
  t.deepEqual(made?.metadata.labels, {
    'app.kubernetes.io/name': 'podmirror',
    'app.kubernetes.io/component': 'intent',
    'app.kubernetes.io/managed-by': 'podmirror-webhook',
  });
});

test('labels, annotations and filters that change are followed, and a settled controller writes nothing', async (t) => {
  const { lead, classes, isRight, controller, writes, ...world } = await startScene(t, {
    before: shopOfTwo,
    graceMs: 0,
  });
  lead();
  await until(() => isRight() && classes().length === 2);
  world.putNamespace('shop', { 'wallarm-mirror': 'disabled' });
  await until(() => isRight() && classes().length === 0);
  world.putNamespace('shop');
  world.putPod({ name: 'a', annotations: yes });
  await until(() => isRight() && classes().length === 1);
  world.putFilters('filters: [{namespace: shop, container_name: log}]');
  await until(() => isRight() && classes().length === 2);
  world.putFilters('filters: [{namespce: shop}]');
  await until(() => isRight() && classes().length === 1);
  await until(() => controller.status().settled);
  const written = writes();
  world.putPod({ name: 'a', annotations: { ...yes, unrelated: 'x' } });
  world.putNamespace('elsewhere');
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.is(writes(), written);
});

test('pods that come and go all the time are looked at now and then, and what else changes at once', async (t) => {
  const { lead, classes, isRight, controller, ...world } = await startScene(t, {
    before: shopOfTwo,
    graceMs: 0,
    podsMs: 120_000,
  });
  lead();
  await until(isRight);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const { passes } = controller.status();
  const churn = setInterval(() => world.putPod({ name: 'c', containers: [`web-${performance.now()}`] }), 20);
  t.teardown(() => clearInterval(churn));
  await until(() => !isRight());
  await new Promise((resolve) => setTimeout(resolve, 500));
  t.is(controller.status().passes, passes);
  world.putNamespace('shop', { 'wallarm-mirror': 'disabled' });
  await until(() => classes().length === 0);
});

test('a thousand pods of a namespace are one write', async (t) => {
  const { lead, classes, isRight, controller, writes, ...world } = await startScene(t, {
    before(world) {
      world.putNamespace('shop');
      for (let index = 0; index < 1000; index++) {
        world.putPod({ name: `pod-${index}`, containers: [`c${index % 20}`] });
      }
    },
  });
  lead();
  await until(() => isRight() && controller.status().settled);
  const before = writes();
  world.putNamespace('shop', enabled);
  await until(() => isRight() && classes().length === 20);
  t.is(writes(), before + 1);
});

test('nothing is done before every cache is full', async (t) => {
  const { lead, classes, isRight, server, cluster, writes } = await startScene(t, {
    before(world) {
      shopOfTwo(world);
      world.server.fault({ kind: 'status', code: 503 }, ({ resource }) => resource === 'pods', 1e9);
    },
  });
  lead();
  await until(() => cluster.sources().some(({ name, synced }) => name === 'namespaces' && synced));
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.false(cluster.synced());
  t.is(writes(), 0);
  server.heal();
  await until(() => isRight() && classes().length === 2);
});

const vandals: [string, (world: World) => void][] = [
  ['deleted', (world) => world.removeShard()],
  ['emptied', (world) => world.putShard({})],
  ['filled with something else', (world) => world.putShard({ readme: 'hello', _meta: '{}' })],
  [
    'without its _meta',
    ({ shard, putShard }) => putShard(Object.fromEntries(Object.entries(shard() ?? {}).slice(1))),
  ],
  ['of a version nobody knows', ({ shard, putShard }) => putShard({ ...shard(), _meta: '{"version":2}' })],
  [
    'with a class that is widened',
    ({ shard, putShard }) => {
      const [id = ''] = Object.keys(shard() ?? {}).filter((key) => key !== '_meta');
      putShard({ ...shard(), [id]: '[{"containers":["*"],"nodes":["*"],"because":"me"}]' });
    },
  ],
  ['with a key that is no class', ({ shard, putShard }) => putShard({ ...shard(), 'no class': 'x' })],
];
for (const [what, happens] of vandals) {
  test(`the ConfigMap is restored when it is ${what}`, async (t) => {
    const { lead, isRight, controller, shard, ...world } = await startScene(t, { before: shopOfTwo });
    lead();
    await until(() => isRight() && controller.status().settled);
    const before = shard();
    happens({ ...world, shard } as World);
    await until(isRight);
    t.deepEqual(shard(), before);
  });
}

test('somebody who keeps changing the ConfigMap does not make us write as often, nor be late with what is new', async (t) => {
  const { lead, isRight, controller, shard, writes, classes, log, ...world } = await startScene(t, {
    before: shopOfTwo,
  });
  lead();
  await until(() => isRight() && controller.status().settled);
  const before = writes();
  const vandal = setInterval(() => world.putShard({ ...shard(), odd: 'x' }), 5);
  t.teardown(() => clearInterval(vandal));
  await until(() => log.lines.some((line) => line.includes('somebody else keeps changing')));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  t.true(writes() - before < 20);
  world.putPod({ name: 'new', containers: ['new'] });
  await until(() => classes().length === 3);
});

test('a class whose last pod is gone stays for the grace time, and goes then', async (t) => {
  const { lead, classes, isRight, removePod } = await startScene(t, { before: shopOfTwo, graceMs: 600 });
  lead();
  await until(() => isRight() && classes().length === 2);
  removePod('shop', 'a');
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.is(classes().length, 2);
  await until(() => isRight() && classes().length === 1);
});

test('what a webhook wrote for a pod that is not seen yet stays, and goes when no pod comes', async (t) => {
  const { lead, classes, isRight, controller, shard, putShard } = await startScene(t, {
    before: shopOfTwo,
    graceMs: 600,
  });
  lead();
  await until(() => isRight() && controller.status().settled);
  const coming = knownPodOf(podObject({ name: 'coming', containers: ['new'] }));
  const id = classOf(coming, metaOf(noFilters, settings))?.id ?? '';
  putShard({ ...shard(), [id]: '[{"containers":["*"],"nodes":["*"],"because":"namespace shop"}]' });
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.true(classes().includes(id));
  await until(isRight);
  t.false(classes().includes(id));
});

test('writes that fail are tried again until they succeed, whatever the failure', async (t) => {
  const { lead, isRight, classes, controller, log } = await startScene(t, {
    before(world) {
      shopOfTwo(world);
      const writes = ({ verb }: { verb: string }) => /create|patch/.test(verb);
      world.server.fault({ kind: 'status', code: 503 }, writes, 1);
      world.server.fault({ kind: 'reset' }, writes, 1);
      world.server.fault({ kind: 'status', code: 429, retryAfter: 0 }, writes, 1);
      world.server.fault({ kind: 'lost-answer' }, writes, 1);
    },
  });
  lead();
  await until(() => isRight() && controller.status().settled);
  t.is(classes().length, 2);
  t.true(controller.status().failures >= 2);
  t.is(controller.status().trouble, undefined);
  t.is(log.lines.filter((line) => line.includes('cannot be written')).length, 1);
});

test('a server that restarts with all connections cut is followed again', async (t) => {
  const { lead, isRight, classes, server, putPod } = await startScene(t, { before: shopOfTwo });
  lead();
  await until(isRight);
  server.cut();
  putPod({ name: 'c', containers: ['third'] });
  await until(() => isRight() && classes().length === 3);
  t.pass();
});

test('a write under way is ended when the lease is lost, and the next leader writes', async (t) => {
  const scene = await startScene(t, {
    before(world) {
      shopOfTwo(world);
      world.server.fault({ kind: 'hang' }, ({ verb }) => verb === 'create', 1);
    },
  });
  const { lead, server, isRight, writes, controller } = scene;
  const term = lead();
  await until(() => server.asked.some(({ verb }) => verb === 'create'));
  await term.end();
  t.false(controller.status().leading);
  const before = writes();
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.is(writes(), before);
  lead();
  await until(isRight);
});

test('shards grow before a ConfigMap is full, and no reader misses a class on the way', async (t) => {
  const { lead, isRight, classes, controller, cluster, intent, shard, ...world } = await startScene(t, {
    before(world) {
      world.putNamespace('shop');
      for (let index = 0; index < 20; index++) {
        world.putPod({ name: `pod-${index}`, containers: [`c${index}`], annotations: yes });
      }
    },
  });
  lead();
  await until(() => isRight() && controller.status().settled);
  const first = classes();
  let missed = 0;
  let steps = 0;
  cluster.onChange((topic) => {
    if (topic !== 'intent') return;
    const there = intent()?.classes;
    steps += 1;
    missed += first.filter((id) => !there?.has(id)).length;
  });
  // Some 1.2 KiB for each of 2,000 classes: four shards.
  const items = Array.from(
    { length: 8 },
    (_, item) => `{namespace: shop, node_name: "${`n${item}`.padEnd(60, 'x')}"}`,
  );
  const grow = async (from: number, to: number, shards: number) => {
    for (let index = from; index < to; index++) {
      world.putPod({ name: `big-${index}`, containers: [`web-${index}`] });
    }
    await until(() => isRight() && intent()?.meta.shards === shards && controller.status().settled);
  };
  world.putFilters(`filters: [${items.join(', ')}]`);
  await grow(0, 700, 2);
  await grow(700, 1500, 4);
  t.is(classes().length, 1520);
  t.is(missed, 0);
  t.true(steps >= 6);
  t.true(Object.keys(shard(3) ?? {}).length > 100);
});

/** So many filters that all match whatever has the label, each told in some 300 characters. */
function manyFilters(count: number, label: string): string {
  const annotations = (index: number) =>
    Object.fromEntries(['e.com/a', 'e.com/b'].map((key) => [key, `!${'y'.repeat(110)}${index}`]));
  return JSON.stringify({
    filters: Array.from({ length: count }, (_, index) => ({
      namespace: 'shop',
      pod_labels: { [label]: '*' },
      pod_annotations: annotations(index),
    })),
  });
}

const matching = { labels: { app: 'x', tier: 'y' }, annotations: { 'e.com/a': 'z', 'e.com/b': 'z' } };

test('an intent that outgrows its ConfigMap while all ids change is written all the same', async (t) => {
  const { lead, isRight, controller, intent, classes, log, ...world } = await startScene(t, {
    before(world) {
      world.putNamespace('shop');
      world.putNamespace('bank', { 'wallarm-mirror': 'enabled' });
      world.putPod({ namespace: 'bank', name: 'b' });
      for (let index = 0; index < 120; index++) {
        world.putPod({ name: `pod-${index}`, containers: [`c${index}`], ...matching });
      }
      world.putFilters(manyFilters(13, 'app'));
    },
    graceMs: 100,
  });
  lead();
  await until(() => isRight() && controller.status().settled);
  t.is(intent()?.meta.shards, 1);
  // 570 KiB as it is, and 880 KiB more: together they are too much for one ConfigMap.
  world.putFilters(manyFilters(20, 'tier'));
  await until(() => isRight() && intent()?.meta.shards === 2 && controller.status().settled);
  world.putNamespace('bank', { 'wallarm-mirror': 'disabled' });
  await until(() => !classes().some((id) => id.startsWith('bank.')));
  t.notRegex(log.lines.join('\n'), /422|Invalid/);
});

test('an intent that does not fit is told shorter, and then the largest namespace is left out and named', async (t) => {
  const { lead, isRight, controller, classes, log, cluster, ...world } = await startScene(t, {
    before(world) {
      world.putNamespace('shop');
      world.putNamespace('bank', { 'wallarm-mirror': 'enabled' });
      world.putPod({ namespace: 'bank', name: 'b' });
      for (let index = 0; index < 200; index++) {
        world.putPod({ name: `pod-${index}`, containers: [`c${index}`], ...matching });
      }
      world.putFilters(manyFilters(100, 'app'));
    },
    graceMs: 100,
  });
  lead();
  await until(() => isRight() && controller.status().settled);
  t.is(classes().length, 201, 'told shorter');
  t.is(controller.status().leftOut, 0);
  // What each of these grants cannot be told shorter: every filter names other nodes.
  const nodes = Array.from({ length: 400 }, (_, index) => ({
    namespace: 'shop',
    node_name: `${'n'.repeat(100)}${index}`,
  }));
  world.putFilters(JSON.stringify({ filters: nodes }));
  await until(() => controller.status().leftOut === 1 && isRight() && controller.status().settled);
  t.deepEqual(
    classes().map((id) => id.split('.')[0]),
    ['bank'],
  );
  t.regex(
    log.lines.join('\n'),
    /error the intent is more than its ConfigMaps hold, so nothing is mirrored in shop\./,
  );
  world.putNamespace('bank', { 'wallarm-mirror': 'disabled' });
  await until(() => classes().length === 0);
  world.putFilters('');
  await until(() => isRight() && controller.status().leftOut === 0);
});

for (const [title, change] of [
  ['disabled', (world) => world.putNamespace('shop', { 'wallarm-mirror': 'disabled' })],
  ['unlabelled', (world) => world.putNamespace('shop')],
  ['deleted', (world) => world.server.remove('/api/v1/namespaces/shop')],
] as [string, (world: World) => unknown][]) {
  test(`a class without pods does not wait for one in a namespace that was ${title}`, async (t) => {
    const { lead, classes, controller, ...world } = await startScene(t, {
      before(world) {
        world.putNamespace('shop', { 'wallarm-mirror': 'enabled' });
        world.putPod({ name: 'last' });
      },
      graceMs: 1_000_000,
    });
    lead();
    await until(() => classes().length === 1 && controller.status().settled);
    world.removePod('shop', 'last');
    await until(() => controller.status().passes >= 2 && controller.status().settled);
    t.is(classes().length, 1, 'it waits as long as nothing else changed');
    change(world as unknown as World);
    await until(() => classes().length === 0);
  });
}

test('what somebody wrote for an excluded namespace goes at once', async (t) => {
  const { lead, classes, isRight, shard, ...world } = await startScene(t, {
    before(world) {
      world.putNamespace('kube-system');
    },
    graceMs: 1_000_000,
  });
  lead();
  await until(isRight);
  const id = 'kube-system.0123456789abcdef';
  world.putShard({ ...shard(), [id]: '[{"containers":["*"],"nodes":["*"],"because":"x"}]' });
  await until(() => !Object.hasOwn(shard() ?? {}, id));
  t.deepEqual(classes(), []);
});

test('any sequence of changes, faults and changes of leader converges to a fresh computation', async (t) => {
  const names = ['p0', 'p1', 'p2'];
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('pod' as const),
      name: fc.constantFrom(...names),
      mirror: fc.constantFrom('true', 'false', 'maybe'),
      container: fc.constantFrom('web', 'log'),
      phase: fc.constantFrom('Running', 'Succeeded'),
    }),
    fc.record({ kind: fc.constant('gone' as const), name: fc.constantFrom(...names) }),
    fc.record({ kind: fc.constant('label' as const), value: fc.constantFrom('enabled', 'disabled', 'odd') }),
    fc.record({
      kind: fc.constant('filters' as const),
      yaml: fc.constantFrom(
        'allNamespaces: true',
        'filters: [{container_name: log}]',
        'filters: [{pod_name: p1}]',
        '{',
      ),
    }),
    fc
      .constantFrom('cut', 'delete', 'edit', 'leader', 'compact', 'fail')
      .map((what) => ({ kind: 'fault' as const, what })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 15 }), async (steps) => {
      const teardowns: (() => unknown)[] = [];
      const scoped = { teardown: (work: () => unknown) => void teardowns.push(work) } as unknown as typeof t;
      const scene = await startScene(scoped, { before: shopOfTwo, graceMs: 100 });
      try {
        let term = scene.lead();
        for (const one of steps) {
          if (one.kind === 'pod') {
            const annotations = { 'mirror.wallarm.com/enabled': one.mirror };
            scene.putPod({ name: one.name, annotations, containers: [one.container], phase: one.phase });
          }
          if (one.kind === 'gone') scene.removePod('shop', one.name);
          if (one.kind === 'label') scene.putNamespace('shop', { 'wallarm-mirror': one.value });
          if (one.kind === 'filters') scene.putFilters(one.yaml);
          if (one.kind === 'fault') {
            if (one.what === 'cut') scene.server.cut();
            if (one.what === 'delete') scene.removeShard();
            if (one.what === 'edit') scene.putShard({ ...scene.shard(), odd: 'x', _meta: 'y' });
            if (one.what === 'compact') scene.server.compact();
            if (one.what === 'fail') scene.server.fault({ kind: 'status', code: 500 }, undefined, 3);
            if (one.what === 'leader') {
              await term.end();
              term = scene.lead();
            }
          }
          await new Promise((resolve) => setTimeout(resolve, 3));
        }
        // A pod that comes last proves that the caches have seen everything before it.
        scene.putPod({ name: 'last', annotations: yes, containers: ['last'] });
        await until(() => scene.cluster.pod('shop', 'last') && scene.isRight(), 'the fresh computation');
      } finally {
        for (const teardown of teardowns.reverse()) await teardown();
      }
    }),
    { numRuns: 25 },
  );
  t.pass();
});
