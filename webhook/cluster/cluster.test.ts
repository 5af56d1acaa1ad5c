import test, { type ExecutionContext } from 'ava';
import { metaOf } from '../intent/class.ts';
import { encodeIntent } from '../intent/document.ts';
import { noFilters } from '../intent/filters.ts';
import { defaultSettings } from '../intent/model.ts';
import { createApi } from './api.ts';
import { type Cluster, startCluster, type Topic } from './cluster.ts';
import { plainConnection } from './connection.ts';
import {
  configMapObject,
  type FakeApiServer,
  namespaceObject,
  podObject,
  startFakeApiServer,
} from './fake/apiserver.ts';
import { hastyClock } from './fake/clock.ts';
import { fakeLog } from './fake/log.ts';
import { until } from './fake/until.ts';
import { createPods } from './pods.ts';

const settings = defaultSettings('podmirror');
const own = '/api/v1/namespaces/podmirror/configmaps';

async function scene(t: ExecutionContext, before: (server: FakeApiServer) => void = () => {}) {
  const server = await startFakeApiServer();
  before(server);
  const log = fakeLog();
  const connection = plainConnection(server.url);
  const api = createApi({ connection, timeoutMs: 5000 });
  const cluster: Cluster = startCluster({ api, settings, clock: hastyClock(), log });
  const topics: Topic[] = [];
  cluster.onChange((topic) => topics.push(topic));
  t.teardown(async () => {
    await cluster.stop();
    connection.close();
    await server.close();
  });
  return { server, cluster, log, topics };
}

const putFilters = (server: FakeApiServer, data: Record<string, string>) =>
  server.put(`${own}/podmirror-filters`, configMapObject('podmirror-filters', data));

test('everything is listed and watched by the narrowest request, and synced when all of it was seen', async (t) => {
  const { server, cluster, topics } = await scene(t, (server) => {
    server.put('/api/v1/namespaces/shop', namespaceObject('shop', { team: 'a' }));
    server.put('/api/v1/namespaces/shop/pods/a', podObject({ name: 'a' }));
    server.put(`${own}/unrelated`, configMapObject('unrelated', {}));
  });
  t.false(cluster.synced());
  await until(cluster.synced);
  t.deepEqual([...new Set(topics)].sort(), ['filters', 'intent', 'namespaces', 'pods']);
  t.is(cluster.namespace('shop')?.labels.team, 'a');
  t.is(cluster.pod('shop', 'a')?.phase, 'Running');
  t.is(cluster.podCount(), 1);
  t.false(cluster.filters().present);
  t.is(cluster.intent(), null);
  await until(() => server.watches().length === 4);
  const asked = server
    .watches()
    .map(({ asked }) => `${asked.path} ${asked.query.get('fieldSelector') ?? ''}`.trim());
  t.deepEqual(
    asked.sort(),
    [
      '/api/v1/namespaces',
      `${own} metadata.name=podmirror-filters`,
      `${own} metadata.name=podmirror-intent`,
      '/api/v1/pods',
    ].sort(),
  );
  t.true(cluster.ageMs() < 60_000);
});

test('filters that are refused count as none, and their problems are told', async (t) => {
  const { server, cluster } = await scene(t, (server) =>
    putFilters(server, { 'filters.yaml': 'allNamespaces: true' }),
  );
  await until(cluster.synced);
  t.true(cluster.filters().filters.allNamespaces);
  putFilters(server, { 'filters.yaml': 'filters: [{namespce: x}]' });
  await until(() => cluster.filters().problems.length > 0);
  t.is(cluster.filters().filters, noFilters);
  putFilters(server, { 'filter.yaml': '' });
  await until(() => cluster.filters().problems[0]?.where === 'data.filters.yaml');
  t.regex(cluster.filters().problems[0]?.wrong ?? '', /keys found: filter\.yaml/);
  server.remove(`${own}/podmirror-filters`);
  await until(() => !cluster.filters().present);
  t.deepEqual(cluster.filters().problems, []);
});

test('as many shards are watched as _meta says', async (t) => {
  const id = (hex: string) => `shop.000000000000000${hex}`;
  const grants = [{ containers: ['*'], nodes: ['*'], because: 'x' }];
  const classes = new Map(['0', '1', '2', '3'].map((hex) => [id(hex), grants]));
  const shards = encodeIntent({ meta: metaOf(noFilters, settings, 4), classes });
  const { server, cluster } = await scene(t, (server) => {
    for (const [index, data] of shards.entries()) {
      const name = index === 0 ? 'podmirror-intent' : `podmirror-intent-${index}`;
      server.put(`${own}/${name}`, configMapObject(name, data));
    }
  });
  await until(() => cluster.intent()?.classes.size === 4);
  t.deepEqual(cluster.intentProblems(), []);
  server.remove(`${own}/podmirror-intent-3`);
  await until(() => cluster.intent()?.classes.size === 3);
  t.deepEqual(cluster.intentProblems(), ['podmirror-intent-3 is not there']);
});

test('what a write answered is known at once, and an older event does not undo it', async (t) => {
  const { server, cluster } = await scene(t);
  await until(cluster.synced);
  const data = encodeIntent({ meta: metaOf(noFilters, settings), classes: new Map() })[0] ?? {};
  const first = server.put(`${own}/podmirror-intent`, configMapObject('podmirror-intent', {}));
  await until(() => cluster.shards()[0]);
  const version = String(Number(first.metadata.resourceVersion) + 1000);
  cluster.noteShard({ ...first, metadata: { ...first.metadata, resourceVersion: version }, data });
  t.truthy(cluster.intent());
  server.put(`${own}/podmirror-intent`, configMapObject('podmirror-intent', { old: 'x' }));
  server.put('/api/v1/namespaces/later', namespaceObject('later'));
  await until(() => cluster.namespace('later'));
  t.truthy(cluster.intent());
});

test('a listener that throws harms nobody else', async (t) => {
  const { server, cluster, log } = await scene(t);
  cluster.onChange(() => {
    throw new Error('a bug');
  });
  let heard = 0;
  cluster.onChange(() => {
    heard += 1;
  });
  await until(cluster.synced);
  server.put('/api/v1/namespaces/later', namespaceObject('later'));
  await until(() => cluster.namespace('later'));
  t.true(heard > 0);
  t.regex(log.lines.join('\n'), /a listener to .* failed, which is a bug: Error: a bug/);
});

test('status updates that change nothing of interest are not told', async (t) => {
  const { server, cluster, topics } = await scene(t, (server) => {
    server.put('/api/v1/namespaces/shop/pods/a', podObject({ name: 'a' }));
  });
  await until(() => cluster.synced() && server.watches('pods').length === 1);
  const before = cluster.pod('shop', 'a');
  topics.length = 0;
  const object = podObject({ name: 'a' });
  const uid = before?.uid;
  server.put('/api/v1/namespaces/shop/pods/a', {
    ...object,
    status: { phase: 'Running', podIP: '10.9.9.9' },
  });
  server.put('/api/v1/namespaces/shop/pods/b', podObject({ name: 'b' }));
  await until(() => cluster.pod('shop', 'b'));
  t.is(cluster.pod('shop', 'a'), before);
  t.is(cluster.pod('shop', 'a')?.uid, uid);
  t.deepEqual(topics, ['pods']);
});

test('a large annotation is kept when filters name its key, also when they name it later', async (t) => {
  const value = 'x'.repeat(5000);
  const { server, cluster } = await scene(t, (server) => {
    server.put(
      '/api/v1/namespaces/shop/pods/a',
      podObject({ name: 'a', annotations: { big: value, small: 'x' } }),
    );
  });
  await until(cluster.synced);
  t.deepEqual(cluster.pod('shop', 'a')?.annotations, { small: 'x' });
  putFilters(server, { 'filters.yaml': 'filters: [{pod_annotations: {big: "x*"}}]' });
  await until(() => cluster.pod('shop', 'a')?.annotations.big === value);
});

test('a label among very many is kept when filters name its key, also when they name it later', async (t) => {
  const labels = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`label-${index}`, 'x']));
  const switches = { 'wallarm-mirror': 'x', 'mirror.wallarm.com/enabled': 'x', 'pod-template-hash': 'x' };
  const { server, cluster } = await scene(t, (server) => {
    server.put(
      '/api/v1/namespaces/shop/pods/a',
      podObject({ name: 'a', labels: { ...labels, ...switches } }),
    );
  });
  await until(cluster.synced);
  const known = () => cluster.pod('shop', 'a')?.labels ?? {};
  t.like(known(), switches);
  t.is(Object.keys(known()).length, 32 + 3);
  putFilters(server, { 'filters.yaml': 'filters: [{pod_labels: {label-499: x}}]' });
  await until(() => known()['label-499'] === 'x');
});

test('an answer that comes after the deletion of what it wrote to does not bring it back', async (t) => {
  const { server, cluster } = await scene(t);
  await until(cluster.synced);
  const stored = server.put(`${own}/podmirror-intent`, configMapObject('podmirror-intent', { old: 'x' }));
  await until(() => cluster.shards()[0]);
  server.remove(`${own}/podmirror-intent`);
  await until(() => !cluster.shards()[0]);
  cluster.noteShard(stored);
  t.is(cluster.shards()[0], undefined);
  server.put(`${own}/podmirror-intent`, configMapObject('podmirror-intent', { new: 'x' }));
  await until(() => cluster.shards()[0]?.data.new);
});

test('10,000 pods of 300 Deployments take a few MiB', (t) => {
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  const pods = createPods({ onChange: () => {} });
  for (let page = 0; page < 20; page++) {
    const objects = Array.from({ length: 500 }, (_, index) => {
      const number = page * 500 + index;
      const owner = {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        name: `app-${number % 300}`,
        uid: `uid-${number % 300}`,
      };
      const labels = { app: `app-${number % 300}`, 'pod-template-hash': `hash-${number % 300}` };
      const annotations = { checksum: `sum-${number % 300}`, last: 'y'.repeat(5000) };
      const object = podObject({
        namespace: `ns-${number % 100}`,
        name: `pod-${number}`,
        labels,
        annotations,
        owner,
      });
      return JSON.parse(
        JSON.stringify({ ...object, metadata: { ...object.metadata, uid: `uid-${number}` } }),
      );
    });
    for (const object of objects) pods.upsert(pods.reduce(object));
  }
  globalThis.gc?.();
  const mebibytes = (process.memoryUsage().heapUsed - before) / 1024 / 1024;
  t.log(`${mebibytes.toFixed(1)} MiB${globalThis.gc ? '' : ' and garbage'}`);
  t.is(pods.size(), 10_000);
  const [a, b] = [pods.get('ns-0', 'pod-0'), pods.get('ns-0', 'pod-300')];
  t.is(a?.labels, b?.labels);
  t.is(a?.annotations, b?.annotations);
  t.is(a?.owner?.uid, b?.owner?.uid);
});
