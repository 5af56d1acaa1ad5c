// The agent's watches against an API server over real HTTP; the addon and the cgroups are fakes.
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { createApi } from '../../webhook/cluster/api.ts';
import { plainConnection } from '../../webhook/cluster/connection.ts';
import { startFakeApiServer } from '../../webhook/cluster/fake/apiserver.ts';
import { hastyClock } from '../../webhook/cluster/fake/clock.ts';
import { until } from '../../webhook/cluster/fake/until.ts';
import { classOf, type Meta } from '../../webhook/intent/class.ts';
import { encodeIntent, shardOf } from '../../webhook/intent/document.ts';
import { fakeCapture } from '../fake/capture.ts';
import { fakeLog } from '../fake/log.ts';
import { clusterLink } from './cluster.ts';
import { cgroupsOf, containerPath, grant, idOf, nodePod, meta as noMeta, podPath, uid } from './fake/node.ts';

const meta: Meta = { ...noMeta, labelKeys: [] };
const teams: Meta = { ...meta, labelKeys: ['team'] };
const path = (name: string) => `/api/v1/namespaces/podmirror/configmaps/${name}`;

async function scene(t: ExecutionContext) {
  const server = await startFakeApiServer();
  t.teardown(() => server.close());
  const connection = plainConnection(server.url);
  t.teardown(connection.close);
  const [capture, log] = [fakeCapture(), fakeLog()];
  const link = clusterLink({
    api: createApi({ connection }),
    node: 'node-a',
    ownNamespace: 'podmirror',
    clock: hastyClock(),
  });
  const looked: string[] = [];
  const tree = {
    list: async () => cgroupsOf({ 1: [1] }),
    below: (at: string) => {
      looked.push(at);
      return new Map<string, number>();
    },
    processOf: async () => undefined,
  };
  const open = () => {
    const cluster = link.open({ capture, tree, mount: '/none', log });
    t.teardown(cluster.close);
    return cluster;
  };
  const labels = Object.fromEntries(
    Array.from({ length: 40 }, (_, n) => [`label-${String(n).padStart(2, '0')}`, 'x']),
  );
  const putPod = (more: Record<string, string> = {}) =>
    server.put('/api/v1/namespaces/shop/pods/web-1', {
      metadata: { name: 'web-1', namespace: 'shop', uid: uid(1), labels: { ...labels, ...more } },
      spec: { containers: [{ name: 'web' }, { name: 'proxy' }], nodeName: 'node-a' },
      status: {
        phase: 'Running',
        containerStatuses: [{ name: 'web', containerID: `containerd://${idOf(1)}`, state: { running: {} } }],
      },
    });
  const class_ = (given: Meta = meta, more: Record<string, string> = {}) =>
    classOf(nodePod({ labels: { ...labels, ...more } }), given)?.id ?? '';
  const putShards = (data: Record<string, string>[]) => {
    for (const [index, shard] of data.entries())
      server.put(path(index === 0 ? 'podmirror-intent' : `podmirror-intent-${index}`), {
        metadata: {
          name: index === 0 ? 'podmirror-intent' : `podmirror-intent-${index}`,
          namespace: 'podmirror',
        },
        data: shard,
      });
  };
  const encoded = (given: Meta, ...ids: string[]) =>
    encodeIntent({ meta: given, classes: new Map(ids.map((id) => [id, [grant()]])) });
  /** One whose class is in the second shard as soon as there are two. Its class id. */
  const putMovingPod = () => {
    for (let team = 0; ; team++) {
      const label = { team: `${team}` };
      const id = class_(teams, label);
      if (shardOf(id, 2) === 0) continue;
      putPod(label);
      return id;
    }
  };
  const isMirrored = () => capture.selected.has(`/none${containerPath(1, 1)}`);
  return { server, open, capture, log, looked, putPod, putMovingPod, class_, putShards, encoded, isMirrored };
}

test('nothing is attached before pods and intent were read once, and then nothing is in the way for ever', async (t) => {
  const { server, open, putPod, putShards, encoded, class_, isMirrored } = await scene(t);
  putPod();
  putShards(encoded(meta, class_()));
  server.fault({ kind: 'hang' }, ({ resource }) => resource === 'configmaps', 1);
  const cluster = open();
  await cluster.resolve();
  await until(() => cluster.unread().length === 1);
  t.deepEqual(cluster.unread(), ['the intent: not read yet']);
  t.false(isMirrored());
  server.cut();
  await until(isMirrored);
  t.deepEqual(cluster.unread(), []);
  await server.close();
  await sleep(100);
  t.true(isMirrored());
  t.deepEqual(cluster.unread(), []);
});

test('an intent with new keys comes into use when the pods were listed with them', async (t) => {
  const { server, open, capture, putPod, putShards, encoded, class_, isMirrored } = await scene(t);
  const team = { zteam: 'shop' };
  putPod(team);
  putShards(encoded(meta, class_(meta, team)));
  const cluster = open();
  await cluster.resolve();
  await until(isMirrored);
  let released = 0;
  const { release } = capture;
  capture.release = (cgroup) => {
    released++;
    return release(cgroup);
  };
  const next = { ...meta, labelKeys: ['zteam'] };
  const lists = () =>
    server.asked.filter(({ verb, resource }) => verb === 'list' && resource === 'pods').length;
  const before = lists();
  putShards(encoded(next, class_(next, team)));
  await until(() => lists() > before);
  await sleep(200);
  t.true(isMirrored());
  t.is(released, 0);
});

test('a class that moves to another shard is never missed, and a hole that stays is taken for meant', async (t) => {
  const { open, capture, putMovingPod, putShards, encoded, isMirrored } = await scene(t);
  const id = putMovingPod();
  putShards(encoded(teams, id));
  const cluster = open();
  await cluster.resolve();
  await until(isMirrored);
  let released = 0;
  const { release } = capture;
  capture.release = (cgroup) => {
    released++;
    return release(cgroup);
  };
  const data = encoded({ ...teams, shards: 2 }, id);
  putShards(data.slice(0, 1));
  await sleep(300);
  putShards(data);
  await sleep(300);
  t.true(isMirrored());
  t.is(released, 0);

  const hole = encoded({ ...teams, shards: 2 });
  putShards([...encoded({ ...teams, shards: 2, filtersHash: 'x' }).slice(0, 1), ...hole.slice(1)]);
  await until(() => !isMirrored());
});

test('a shard that cannot be read yet takes nothing away', async (t) => {
  const { server, open, putMovingPod, putShards, encoded, isMirrored } = await scene(t);
  const id = putMovingPod();
  putShards(encoded(teams, id));
  const cluster = open();
  await cluster.resolve();
  await until(isMirrored);
  const isOfNewShard = ({ query }: { query: URLSearchParams }) =>
    /podmirror-intent-\d/.test(query.get('fieldSelector') ?? '');
  server.fault({ kind: 'status', code: 503 }, isOfNewShard, 1_000_000);
  putShards(encoded({ ...teams, shards: 2 }, id));
  // Longer than a hole is waited for.
  await sleep(3000);
  t.true(isMirrored());
  server.heal();
  await until(() => cluster.unread().length === 0 && server.watches('configmaps').length === 2);
  t.true(isMirrored());
});

test('a ConfigMap that is deleted ends all mirroring at once, and what is no intent is told', async (t) => {
  const { server, open, putPod, putShards, encoded, class_, isMirrored, log } = await scene(t);
  putPod();
  putShards(encoded(meta, class_()));
  const cluster = open();
  await cluster.resolve();
  await until(isMirrored);
  server.remove(path('podmirror-intent'));
  await until(() => !isMirrored());
  putShards([{ _meta: 'nonsense' }]);
  await until(() =>
    JSON.stringify(cluster.coverage({ targets: [], secrets: {} })).includes('_meta is not of a version'),
  );
  await until(() => log.lines.some((line) => /^warn the intent: .*_meta is not of a version/.test(line)));
  t.pass();
});

test('cgroups that come in a burst are one decision, and those inside of a container are none', async (t) => {
  const { open, looked } = await scene(t);
  const cluster = open();
  await cluster.resolve();
  const burst = [
    podPath(2),
    containerPath(2, 3),
    podPath(2),
    containerPath(2, 3),
    `${containerPath(1, 1)}/own`,
  ];
  t.deepEqual(
    burst.map((one) => cluster.notice(one)),
    [true, true, true, true, false],
  );
  t.deepEqual(looked, []);
  await sleep(50);
  t.deepEqual(looked, [podPath(2), containerPath(2, 3)]);
});
