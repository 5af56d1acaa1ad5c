/** Selecting and releasing while connections live. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { assertClosed, openCapture, openCgroup, openNginx } from '../harness/capture.ts';
import type { CapturedExchange } from '../harness/exchanges.ts';
import { headerValue } from '../harness/facts.ts';
import { getRequest, openConnection } from '../harness/raw-connection.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';

const QUIET_MS = 300;
const idOf = ({ request }: CapturedExchange) => headerValue(request.headers, 'x-id');
const summary = (exchange: CapturedExchange) => [
  idOf(exchange),
  exchange.request.target.toString('latin1'),
  exchange.response?.status,
];

async function nginxInCgroup(t: ExecutionContext) {
  const cgroup = openCgroup(t);
  const nginx = await openNginx(t, { cgroup });
  const connection = await openConnection(nginx.port);
  t.teardown(() => connection.close());
  return { cgroup, nginx, connection, ...openCapture(t) };
}

rootTest(
  'a connection that was there before is picked up, marked as joined late, and paired rightly',
  async (t) => {
    const { cgroup, connection, capture, collector } = await nginxInCgroup(t);
    await connection.get('/text', 'before-1');
    await connection.get('/1k.txt', 'before-2');
    capture.select({ cgroup: cgroup.path, identity: { name: 'late' } });
    await connection.get('/status/404', 'after-1');
    connection.write(getRequest('/status/500', 'after-2') + getRequest('/empty', 'after-3'));
    await connection.response();
    await connection.response();
    await connection.get('/status/403', 'after-4');

    const exchanges = await collector.finish(QUIET_MS);
    t.deepEqual(exchanges.map(summary), [
      ['after-1', '/status/404', 404],
      ['after-2', '/status/500', 500],
      ['after-3', '/empty', 204],
      ['after-4', '/status/403', 403],
    ]);
    t.true(exchanges.every(({ joinedLate }) => joinedLate));
    t.is(exchanges[0]?.pairing, 'ACKNOWLEDGEMENT');
    t.is(capture.coverage().targets[0]?.connections.joined_late, 1);
    connection.close();
    await sleep(QUIET_MS);
    assertClosed(t, capture.ledger());
  },
);

rootTest('joining inside a response does not pair it with the next request', async (t) => {
  const { cgroup, connection, capture, collector } = await nginxInCgroup(t);
  connection.socket.pause();
  connection.write(getRequest('/10m.bin', 'before'));
  await sleep(100);
  capture.select({ cgroup: cgroup.path, identity: { name: 'late' } });
  connection.socket.resume();
  await connection.response();
  await connection.get('/status/404', 'after');

  const exchanges = await collector.finish(QUIET_MS);
  t.deepEqual(exchanges.map(summary), [['after', '/status/404', 404]]);
});

rootTest('joining inside an upload never reports what its body says as a request', async (t) => {
  const { cgroup, connection, capture, collector } = await nginxInCgroup(t);
  const fake = getRequest('/fake', 'fake');
  const tail = 'the end of the body';
  const length = fake.length + tail.length + 4;
  connection.write(
    `POST /upload HTTP/1.1\r\nHost: shop.example\r\nX-Id: before\r\nContent-Length: ${length}\r\n\r\nhead`,
  );
  await sleep(50);
  capture.select({ cgroup: cgroup.path, identity: { name: 'late' } });
  connection.write(fake);
  await sleep(50);
  connection.write(tail);
  t.is((await connection.response('POST')).status, 200);
  // The end of the body may be the beginning of a head, whose request would have its answer to come: one goes unseen.
  await connection.get('/status/404', 'unseen');
  await connection.get('/status/404', 'after');

  const exchanges = await collector.finish(QUIET_MS);
  t.deepEqual(
    exchanges.filter((exchange) => idOf(exchange) === 'fake' && exchange.response !== null),
    [],
  );
  t.deepEqual(exchanges.filter((exchange) => idOf(exchange) === 'after').map(summary), [
    ['after', '/status/404', 404],
  ]);
});

rootTest('release stops at once, for an open connection too', async (t) => {
  const { cgroup, connection, capture, collector } = await nginxInCgroup(t);
  capture.select({ cgroup: cgroup.path, identity: { name: 'web' } });
  await connection.get('/text', 'selected');
  await until(() => collector.exchanges.length === 1);
  t.true(capture.release(cgroup.path));
  await connection.get('/text', 'released');
  t.false(capture.release(cgroup.path));

  t.deepEqual((await collector.finish(QUIET_MS)).map(idOf), ['selected']);
  t.deepEqual(capture.coverage().targets, []);
  assertClosed(t, capture.ledger());
});

rootTest('a released cgroup can be selected again, and its open connection is picked up again', async (t) => {
  const { cgroup, connection, capture, collector } = await nginxInCgroup(t);
  const target = { cgroup: cgroup.path, identity: { name: 'web' } };
  capture.select(target);
  await connection.get('/text', 'first');
  await until(() => collector.exchanges.length === 1);
  capture.release(cgroup.path);
  await connection.get('/text', 'unseen');
  capture.select(target);
  await connection.get('/status/404', 'second');

  t.deepEqual((await collector.finish(QUIET_MS)).map(summary), [
    ['first', '/text', 200],
    ['second', '/status/404', 404],
  ]);
});

rootTest('selecting a cgroup twice captures once, under the newer identity', async (t) => {
  const { cgroup, connection, capture, collector } = await nginxInCgroup(t);
  capture.select({ cgroup: cgroup.path, identity: { name: 'old' } });
  capture.select({ cgroup: cgroup.path, identity: { name: 'new' } });
  await connection.get('/text', 'one');

  const exchanges = await collector.finish(QUIET_MS);
  t.deepEqual(
    exchanges.map((exchange) => [idOf(exchange), exchange.identity]),
    [['one', 'new']],
  );
  t.is(capture.coverage().targets.length, 1);
});

for (const order of ['parent first', 'child first'] as const) {
  rootTest(`nested targets, ${order}: each exchange once, with the innermost identity`, async (t) => {
    const parent = openCgroup(t, 'parent');
    const child = parent.child('inner');
    const inner = await openNginx(t, { cgroup: child });
    const outer = await openNginx(t, { cgroup: parent });
    const { capture, collector } = openCapture(t);
    const targets = [
      { cgroup: parent.path, identity: { name: 'parent' } },
      { cgroup: child.path, identity: { name: 'child' } },
    ];
    for (const target of order === 'parent first' ? targets : targets.toReversed()) capture.select(target);
    for (const [nginx, id] of [
      [inner, 'to-child'],
      [outer, 'to-parent'],
    ] as const) {
      const connection = await openConnection(nginx.port);
      await connection.get('/text', `${id}-1`);
      await connection.get('/text', `${id}-2`);
      connection.close();
    }

    const exchanges = await collector.finish(QUIET_MS);
    t.deepEqual(exchanges.map((exchange) => [idOf(exchange), exchange.identity]).sort(), [
      ['to-child-1', 'child'],
      ['to-child-2', 'child'],
      ['to-parent-1', 'parent'],
      ['to-parent-2', 'parent'],
    ]);
    assertClosed(t, capture.ledger());
  });
}

rootTest('a child of a selected cgroup is captured without being named', async (t) => {
  const parent = openCgroup(t, 'parent');
  const nginx = await openNginx(t, { cgroup: parent.child('inner') });
  const { capture, collector } = openCapture(t);
  capture.select({ cgroup: parent.path, identity: { name: 'parent' } });
  const connection = await openConnection(nginx.port);
  await connection.get('/text', 'one');
  connection.close();

  t.deepEqual(
    (await collector.finish(QUIET_MS)).map(({ identity }) => identity),
    ['parent'],
  );
});
