import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { systemClock } from '../cluster/clock.ts';
import { until } from '../cluster/fake/until.ts';
import { createEvents } from './events.ts';
import { startScene, type World } from './fake/scene.ts';

const replicaSet = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-6f7', uid: 'rs-1' };
const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: 'deploy-1' };
const enabled = { 'wallarm-mirror': 'enabled' };

const replica = (name: string, more = {}) => ({
  name,
  labels: { 'pod-template-hash': '6f7' },
  owner: replicaSet,
  ...more,
});

function web(world: World) {
  world.server.put('/apis/apps/v1/namespaces/shop/replicasets/web-6f7', {
    metadata: { name: 'web-6f7', namespace: 'shop', ownerReferences: [{ ...deployment, controller: true }] },
  });
  for (const name of ['a', 'b', 'c']) world.putPod(replica(name));
}

async function scene(
  t: ExecutionContext,
  before: (world: World) => void,
  options: Partial<Parameters<typeof createEvents>[0]> = {},
) {
  let observe: ReturnType<typeof createEvents>['observe'] | undefined;
  const scene = await startScene(t, { before, onDesired: (desired) => observe?.(desired), graceMs: 0 });
  const { api, cluster, log, server } = scene;
  const start = () => {
    const events = createEvents({
      api,
      cluster,
      clock: systemClock,
      log,
      instance: 'me',
      lookMs: 20,
      ...options,
    });
    observe = events.observe;
    const abort = new AbortController();
    const term = scene.lead();
    const done = events.lead(abort.signal);
    const end = async () => {
      await term.end();
      abort.abort();
      await done;
    };
    t.teardown(end);
    return { events, end };
  };
  const told = () =>
    server.asked
      .filter(({ verb, resource }) => verb === 'create' && resource === 'events')
      .map(
        ({ body }) =>
          body as { reason: string; message: string; type: string; involvedObject: typeof deployment },
      );
  return { ...scene, start, told };
}

test('the Deployment is told once for all its pods, in words', async (t) => {
  const { start, told, server } = await scene(t, (world) => {
    world.putNamespace('shop', enabled);
    web(world);
  });
  const { events } = start();
  await until(() => events.counts.sent === 1);
  t.like(told()[0], {
    reason: 'MirroringEnabled',
    type: 'Normal',
    message: 'mirroring enabled: namespace shop is labelled wallarm-mirror=enabled',
    involvedObject: { ...deployment, namespace: 'shop' },
    reportingInstance: 'me',
  });
  t.is(server.asked.filter(({ verb, resource }) => verb === 'get' && resource === 'replicasets').length, 1);
});

test('a change is told, and so is the change back', async (t) => {
  const { start, told, putNamespace } = await scene(t, (world) => {
    world.putNamespace('shop', enabled);
    web(world);
  });
  const { events } = start();
  await until(() => events.counts.sent === 1);
  putNamespace('shop', { 'wallarm-mirror': 'disabled' });
  await until(() => events.counts.sent === 2);
  putNamespace('shop', enabled);
  await until(() => events.counts.sent === 3);
  t.deepEqual(
    told().map(({ reason }) => reason),
    ['MirroringEnabled', 'MirroringDisabled', 'MirroringEnabled'],
  );
});

test('a filter that only got another number is not told again', async (t) => {
  const { start, told, putFilters } = await scene(t, (world) => {
    world.putNamespace('shop');
    world.putFilters('filters: [{namespace: other}, {namespace: shop}]');
    web(world);
  });
  const { events } = start();
  await until(() => events.counts.sent === 1);
  putFilters('filters: [{namespace: shop}]');
  putFilters('filters: [{namespace: shop-1}, {namespace: shop-2}, {namespace: shop}]');
  await sleep(200);
  putFilters('filters: [{namespace: sho?}]');
  await until(() => events.counts.sent === 2);
  t.deepEqual(
    told().map(({ message }) => message),
    ['mirroring enabled: filter 2 (namespace shop)', 'mirroring enabled: filter 1 (namespace sho?)'],
  );
});

test('a workload that nobody asked about hears nothing', async (t) => {
  const { start, isRight, told } = await scene(t, (world) => {
    world.putNamespace('shop');
    web(world);
  });
  start();
  await until(isRight);
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.deepEqual(told(), []);
});

test('a value that is ignored is told as a warning, with what to write instead', async (t) => {
  const { start, told } = await scene(t, (world) => {
    world.putNamespace('shop');
    world.putPod({ name: 'bare', annotations: { 'mirror.wallarm.com/enabled': 'yes' } });
  });
  const { events } = start();
  await until(() => events.counts.sent === 1);
  t.like(told()[0], {
    reason: 'MirroringIgnored',
    type: 'Warning',
    involvedObject: { kind: 'Pod', name: 'bare' },
  });
  t.regex(told()[0]?.message ?? '', /mirror\.wallarm\.com\/enabled=yes.*Write "true"/);
});

test('a controller that begins anew says nothing twice', async (t) => {
  const { start, server } = await scene(t, (world) => {
    world.putNamespace('shop', enabled);
    web(world);
  });
  const first = start();
  await until(() => first.events.counts.sent === 1);
  await first.end();
  const second = start();
  await until(() => second.events.counts.known === 1);
  t.is(second.events.counts.sent, 0);
  t.is(server.asked.filter(({ verb, resource }) => verb === 'patch' && resource === 'events').length, 0);
});

test('a CronJob is told, not each of its Jobs', async (t) => {
  const cronJob = { apiVersion: 'batch/v1', kind: 'CronJob', name: 'report', uid: 'cron-1' };
  const { start, told, putPod, server } = await scene(t, (world) => world.putNamespace('shop', enabled));
  const { events } = start();
  const run = (minute: number) => {
    const name = `report-2900000${minute}`;
    server.put(`/apis/batch/v1/namespaces/shop/jobs/${name}`, {
      metadata: { name, namespace: 'shop', ownerReferences: [{ ...cronJob, controller: true }] },
    });
    putPod({ name: `${name}-x`, owner: { apiVersion: 'batch/v1', kind: 'Job', name, uid: `job-${minute}` } });
  };
  run(1);
  await until(() => events.counts.sent === 1);
  run(2);
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.is(told().length, 1);
  t.like(told()[0]?.involvedObject, { kind: 'CronJob', name: 'report' });
});

test('a ReplicaSet that is gone or forbidden is told itself, and a static pod is told as a pod', async (t) => {
  const { start, told } = await scene(t, (world) => {
    world.putNamespace('shop', enabled);
    world.putPod(replica('a'));
    const node = { apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: 'node-uid' };
    world.putPod({ name: 'static', owner: node });
  });
  const { events } = start();
  await until(() => events.counts.sent === 2);
  t.deepEqual(
    told()
      .map(({ involvedObject }) => involvedObject.kind)
      .sort(),
    ['Pod', 'ReplicaSet'],
  );
});

test('refused filters are told on their ConfigMap', async (t) => {
  const { start, told } = await scene(t, (world) => world.putFilters('filters: [{namespce: shop}]'));
  const { events } = start();
  await until(() => events.counts.sent === 1);
  const [event] = told();
  t.like(event, { reason: 'FiltersRefused', type: 'Warning', involvedObject: { kind: 'ConfigMap' } });
  t.regex(event?.message ?? '', /^filters refused, so none is in force: filters\[0\].*namespce/);
});

test('events that fail hold nothing up and are few, and what waits is bounded', async (t) => {
  const { start, isRight, log, server } = await scene(
    t,
    (world) => {
      world.putNamespace('shop', enabled);
      for (let index = 0; index < 40; index++) world.putPod({ name: `pod-${index}` });
      world.server.fault({ kind: 'status', code: 403 }, ({ resource }) => resource === 'events', 1e9);
    },
    { maxWaiting: 30, burst: 10, perSecond: 10 },
  );
  const { events } = start();
  await until(isRight);
  await until(() => events.counts.failed >= 10);
  t.is(events.counts.dropped, 10);
  t.true(server.asked.filter(({ resource }) => resource === 'events').length < 40);
  t.is(log.lines.filter((line) => line.includes('an event is not told')).length, 1);
});

test('more workloads than are remembered: those that are told stay so, and the others wait for room', async (t) => {
  const { start, told, putPod, removePod } = await scene(
    t,
    (world) => {
      world.putNamespace('shop', enabled);
      for (const name of ['a', 'b', 'c', 'd']) world.putPod({ name });
    },
    { maxWorkloads: 2 },
  );
  const { events } = start();
  await until(() => events.counts.sent === 2);
  // Each makes for another look.
  for (const name of ['e', 'f', 'g']) {
    putPod({ namespace: 'other', name });
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  const names = () => told().map(({ involvedObject }) => involvedObject.name);
  t.is(names().length, 2);
  t.is(events.counts.dropped, 2);
  removePod('shop', names()[0] ?? '');
  await until(() => events.counts.sent === 3);
  t.is(new Set(names()).size, 3);
  t.is(events.counts.known, 0);
});

test('a workload without pods for a moment is remembered, and forgotten after ten minutes', async (t) => {
  let laterMs = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + laterMs };
  const { start, told, putPod, removePod } = await scene(
    t,
    (world) => {
      world.putNamespace('shop', enabled);
      world.putPod({ name: 'a' });
    },
    { clock },
  );
  const { events } = start();
  const no = { 'mirror.wallarm.com/enabled': 'false' };
  const look = async (name: string) => {
    putPod({ namespace: 'other', name });
    await new Promise((resolve) => setTimeout(resolve, 150));
  };
  await until(() => events.counts.sent === 1);
  laterMs += 3_600_000;
  removePod('shop', 'a');
  await look('e');
  putPod({ name: 'a', annotations: no });
  await until(() => told().some(({ reason }) => reason === 'MirroringDisabled'));
  removePod('shop', 'a');
  await look('f');
  laterMs += 700_000;
  await look('g');
  putPod({ name: 'a', annotations: no });
  await look('h');
  t.is(told().length, 2);
});

test('events of which every other one is refused are one line in the log', async (t) => {
  const { start, log } = await scene(t, (world) => {
    world.putNamespace('shop', enabled);
    for (let index = 0; index < 10; index++) world.putPod({ name: `pod-${index}` });
    let count = 0;
    world.server.fault(
      { kind: 'status', code: 403 },
      ({ resource }) => resource === 'events' && ++count % 2 === 0,
      1e9,
    );
  });
  const { events } = start();
  await until(() => events.counts.failed === 5 && events.counts.sent === 5);
  t.is(log.lines.filter((line) => line.includes('an event is not told')).length, 1);
});
