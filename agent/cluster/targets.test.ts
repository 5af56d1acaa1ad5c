import test from 'ava';
import type { Intent } from '../../webhook/intent/document.ts';
import { fakeCapture } from '../fake/capture.ts';
import { fakeLog } from '../fake/log.ts';
import { cgroupsOf, containerPath, grant, idOf, intentFor, nodePod, podPath, uid } from './fake/node.ts';
import type { NodePod } from './pod.ts';
import type { Saying } from './saying.ts';
import { createClusterTargets } from './targets.ts';

const mount = '/sys/fs/cgroup';
const at = (path: string) => `${mount}${path}`;

function node(capture = fakeCapture()) {
  const world = {
    pods: [nodePod()] as NodePod[],
    intent: intentFor([nodePod(), grant()]) as Intent | null,
    synced: true,
    inodes: cgroupsOf({}),
    names: new Map<string, string>(),
    now: 0,
  };
  const sought: string[][] = [];
  const said: Saying[] = [];
  const log = fakeLog();
  const targets = createClusterTargets({
    known: () =>
      world.synced
        ? { pods: world.pods, intent: world.intent, node: 'node-a', ownNamespace: 'podmirror' }
        : undefined,
    names: {
      get: (id) => world.names.get(id),
      learn: (id, name) => void world.names.set(id, name),
      find: (containers) => void sought.push(containers.map(({ id }) => id)),
      retain() {},
      close() {},
    },
    capture,
    tree: {
      list: async () => new Map(world.inodes),
      below: (path) => new Map([...world.inodes].filter(([other]) => other.startsWith(path))),
      processOf: async () => undefined,
    },
    mount,
    log,
    say: (saying) => said.push(saying),
    now: () => world.now,
  });
  return { world, sought, said, log, capture, targets };
}

test('the pod has probes before its containers are there, which are named when they are known', async (t) => {
  const { world, sought, log, capture, targets } = node();
  world.inodes = cgroupsOf({ 1: [] });
  await targets.resolve();
  t.deepEqual([...capture.selected.keys()], [at(podPath(1))]);
  t.deepEqual(log.lines, [], 'nothing is mirrored yet');

  world.inodes = cgroupsOf({ 1: [1, 2] });
  targets.notice([containerPath(1, 1), containerPath(1, 2)]);
  t.deepEqual(sought.at(-1), [idOf(1), idOf(2)]);
  world.names.set(idOf(1), 'web');
  targets.update();
  targets.update();
  t.deepEqual(capture.selected.get(at(containerPath(1, 1))), {
    name: 'shop/web-1/web',
    namespace: 'shop',
    pod: 'web-1',
    podUid: uid(1),
    container: 'web',
    workload: 'Pod/web-1',
  });
  t.deepEqual(log.lines, ['info mirroring shop/web-1 container web: filter 1 (namespace shop)']);
  t.deepEqual(targets.status(), { attached: [containerPath(1, 1)], notes: [] });
});

test('siblings are excluded, and change places when the filter does', async (t) => {
  const { world, log, capture, targets } = node();
  world.inodes = cgroupsOf({ 1: [1, 2] });
  world.names.set(idOf(1), 'web').set(idOf(2), 'proxy');
  const only = (container: string) =>
    intentFor([nodePod(), grant({ containers: [container], because: `filter ${container}` })]);
  world.intent = only('web');
  await targets.resolve();
  t.deepEqual([...capture.excluded], [at(containerPath(1, 2))]);
  world.intent = only('proxy');
  targets.update();
  t.deepEqual([...capture.excluded], [at(containerPath(1, 1))]);
  t.true(capture.selected.has(at(containerPath(1, 2))));
  t.deepEqual(log.lines, [
    'info mirroring shop/web-1 container web: filter web',
    'info not mirroring shop/web-1 container proxy: filter web names web only',
    'info released shop/web-1 container web: filter proxy names proxy only',
    'info mirroring shop/web-1 container proxy: filter proxy',
    'info not mirroring shop/web-1 container web: filter proxy names proxy only',
  ]);
  t.deepEqual(targets.coverage(), {
    rules: new Map([[at(containerPath(1, 2)), 'filter proxy']]),
    refused: [
      { namespace: 'shop', pod: 'web-1', container: 'web', because: 'filter proxy names proxy only' },
    ],
  });
});

test('filters that are renumbered tell nothing anew, and coverage has the new numbers', async (t) => {
  const { world, log, said, capture, targets } = node();
  world.inodes = cgroupsOf({ 1: [1, 2] });
  world.names.set(idOf(1), 'web').set(idOf(2), 'proxy');
  const filters = (because: string) => intentFor([nodePod(), grant({ containers: ['web'], because })]);
  world.intent = filters('filter 2 (container web)');
  await targets.resolve();
  const [told, selected] = [log.lines.length, new Map(capture.selected)];
  t.is(told, 2);
  world.intent = filters('filter 3 (container web)');
  targets.update();
  t.is(log.lines.length, told);
  t.is(said.length, told);
  t.deepEqual(capture.selected, selected);
  t.deepEqual(targets.coverage(), {
    rules: new Map([[at(containerPath(1, 1)), 'filter 3 (container web)']]),
    refused: [
      {
        namespace: 'shop',
        pod: 'web-1',
        container: 'proxy',
        because: 'filter 3 (container web) names web only',
      },
    ],
  });

  world.intent = filters('filter 3 (container web, pod web-*)');
  targets.update();
  t.deepEqual(log.lines.slice(told), [
    'info mirroring shop/web-1 container web: filter 3 (container web, pod web-*)',
    'info not mirroring shop/web-1 container proxy: filter 3 (container web, pod web-*) names web only',
  ]);
});

const ends: [title: string, end: (world: ReturnType<typeof node>['world']) => void, because: string][] = [
  ['the intent goes', (world) => Object.assign(world, { intent: null }), 'nothing asks for it any more'],
  ['the pod goes', (world) => Object.assign(world, { pods: [] }), 'the pod is gone'],
  [
    'the pod completes',
    (world) => Object.assign(world, { pods: [nodePod({ completed: true })] }),
    'the pod has completed',
  ],
  [
    'the filter names another node',
    (world) => Object.assign(world, { intent: intentFor([nodePod(), grant({ nodes: ['edge-*'] })]) }),
    'filter 1 (namespace shop) asks for it on nodes edge-*, and this is node-a',
  ],
];
for (const [title, end, because] of ends) {
  test(`when ${title}, all of the pod is released at once, and it is told why`, async (t) => {
    const { world, log, capture, targets } = node();
    world.inodes = cgroupsOf({ 1: [1, 2] });
    world.names.set(idOf(1), 'web');
    await targets.resolve();
    end(world);
    targets.update();
    t.is(capture.selected.size, 0);
    t.is(log.lines[1], `info released shop/web-1 container web: ${because}`);
    world.pods = [nodePod()];
    world.intent = intentFor([nodePod(), grant()]);
    targets.update();
    t.true(capture.selected.has(at(containerPath(1, 1))), 'and it comes back');
  });
}

test('a container that restarts is released and the next one mirrored', async (t) => {
  const { world, log, capture, targets, said } = node();
  world.inodes = cgroupsOf({ 1: [1] });
  world.names.set(idOf(1), 'web').set(idOf(2), 'web');
  await targets.resolve();
  world.inodes = cgroupsOf({ 1: [2] });
  await targets.resolve();
  t.deepEqual([...capture.selected.keys()], [podPath(1), containerPath(1, 2)].map(at));
  t.deepEqual(log.lines.slice(1), [
    'info released shop/web-1 container web: its container ended',
    'info mirroring shop/web-1 container web: filter 1 (namespace shop)',
  ]);
  t.deepEqual(
    said.map(({ isOver }) => isOver),
    [false, true, false],
  );
});

test('before everything was heard once, nothing is attached', async (t) => {
  const { world, capture, targets } = node();
  world.synced = false;
  world.inodes = cgroupsOf({ 1: [1] });
  await targets.resolve();
  t.is(capture.selected.size, 0);
  world.synced = true;
  targets.update();
  t.is(capture.selected.size, 1);
});

test('what the kernel refuses is told once as a problem, and tried again', async (t) => {
  let refusing = true;
  const refuse = () => (refusing ? Object.assign(new Error('no. Do this'), { code: 'INTERNAL' }) : undefined);
  const { world, log, capture, targets } = node(fakeCapture({ refuse }));
  world.inodes = cgroupsOf({ 1: [1] });
  world.names.set(idOf(1), 'web');
  await targets.resolve();
  await targets.resolve();
  t.deepEqual(log.lines, ['warn not mirroring shop/web-1: no. Do this']);
  t.deepEqual(targets.status().notes, ['not mirroring shop/web-1: no. Do this']);
  refusing = false;
  await targets.resolve();
  t.is(capture.selected.size, 2);
  t.deepEqual(targets.status().notes, []);
});

test('a container that runs without a cgroup is told after ten seconds, with what to do', async (t) => {
  const { world, log, targets } = node();
  world.pods = [nodePod({ statuses: [{ name: 'web', id: idOf(1), running: true }] })];
  await targets.resolve();
  t.deepEqual(log.lines, []);
  world.now = 10_000;
  await targets.resolve();
  await targets.resolve();
  t.is(log.lines.length, 1);
  t.regex(
    log.lines[0] ?? '',
    /^warn not mirroring shop\/web-1 container web: it runs, but no cgroup .*\. Give /,
  );
});

test('what was noticed while the tree was read is not forgotten', async (t) => {
  const { world, capture, targets } = node();
  const looking = targets.resolve();
  world.inodes = cgroupsOf({ 1: [] });
  targets.notice([podPath(1)]);
  await looking;
  t.true(capture.selected.has(at(podPath(1))));
});
