/** A pod's cgroup whose containers are told apart: what is seen of each before, when and after somebody says whose it is. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { assertClosed, openCapture, openCgroup, openNginx } from '../harness/capture.ts';
import type { CapturedExchange } from '../harness/exchanges.ts';
import { headerValue } from '../harness/facts.ts';
import { openConnection } from '../harness/raw-connection.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';

const QUIET_MS = 300;
const idOf = ({ request }: CapturedExchange) => headerValue(request.headers, 'x-id');
const summary = (exchange: CapturedExchange) => [
  exchange.identity,
  idOf(exchange),
  exchange.response?.status,
  exchange.joinedLate,
];

async function pod(t: ExecutionContext) {
  const cgroup = openCgroup(t, 'pod');
  const container = async (name: string, inner?: string) => {
    const child = cgroup.child(name);
    const nginx = await openNginx(t, { cgroup: inner === undefined ? child : child.child(inner) });
    const connection = await openConnection(nginx.port);
    t.teardown(() => connection.close());
    return { path: child.path, nginx, connection };
  };
  const { capture, collector } = openCapture(t);
  const select = (path: string, name: string) => capture.select({ cgroup: path, identity: { name } });
  return { path: cgroup.path, container, capture, collector, select };
}

const theWhole = (path: string) => ({ cgroup: path, identity: { name: 'the pod' }, perChild: true });

rootTest(
  'a container that is named after its first requests has all of them, and its connections go on',
  async (t) => {
    const { path, container, capture, collector, select } = await pod(t);
    capture.select(theWhole(path));
    const web = await container('web');
    await web.connection.get('/text', 'first');
    const short = await openConnection(web.nginx.port);
    await short.get('/status/404', 'closed');
    short.close();
    await sleep(QUIET_MS);
    t.is(capture.ledger().exchanges.inFlight, 2, 'they wait for a name');
    t.deepEqual(capture.coverage().targets, []);
    select(web.path, 'web');
    await web.connection.get('/status/403', 'named');
    const anew = await openConnection(web.nginx.port);
    await anew.get('/text', 'anew');
    anew.close();

    const exchanges = await collector.finish(QUIET_MS);
    t.deepEqual(exchanges.map(summary), [
      ['web', 'first', 200, false],
      ['web', 'closed', 404, false],
      ['web', 'named', 403, false],
      ['web', 'anew', 200, false],
    ]);
    t.true(exchanges.every(({ gap, pairing }) => !gap && pairing === 'ORDER'));
    web.connection.close();
    await sleep(QUIET_MS);
    assertClosed(t, capture.ledger());
  },
);

rootTest('a request whose answer is under way when its container is named is whole', async (t) => {
  const { path, container, capture, collector, select } = await pod(t);
  capture.select(theWhole(path));
  const web = await container('web');
  web.connection.socket.pause();
  web.connection.write(
    'GET /10m.bin HTTP/1.1\r\nHost: shop.example\r\nX-Id: large\r\n\r\nGET /text HTTP/1.1\r\nHost: shop',
  );
  await sleep(100);
  select(web.path, 'web');
  web.connection.socket.resume();
  await web.connection.response();
  web.connection.write('.example\r\nX-Id: halved\r\n\r\n');
  await web.connection.response();
  t.deepEqual((await collector.finish(QUIET_MS)).map(summary), [
    ['web', 'large', 200, false],
    ['web', 'halved', 200, false],
  ]);
});

rootTest('of an excluded container no byte leaves the kernel, whatever its siblings are', async (t) => {
  const { path, container, capture, collector, select } = await pod(t);
  capture.select(theWhole(path));
  const [web, proxy] = [await container('web'), await container('proxy', 'inner')];
  await proxy.connection.get('/text', 'before it was excluded');
  select(web.path, 'web');
  capture.exclude(proxy.path);
  const { copied, seen } = capture.ledger().bytes;
  await proxy.connection.get('/text', 'open');
  const anew = await openConnection(proxy.nginx.port);
  await anew.get('/text', 'anew');
  anew.close();
  await sleep(50);
  t.is(capture.ledger().bytes.copied, copied);
  t.true(capture.ledger().bytes.seen > seen);
  await web.connection.get('/text', 'web');
  const exchanges = await collector.finish(QUIET_MS);
  t.deepEqual(exchanges.map(idOf), ['web']);
  for (const { connection } of [web, proxy]) connection.close();
  await sleep(QUIET_MS);
  const ledger = capture.ledger();
  t.deepEqual(ledger.exchanges.dropped, { excluded: 1 });
  assertClosed(t, ledger);
});

rootTest('excluded and selected again, its open connection is one that was joined late', async (t) => {
  const { path, container, capture, collector, select } = await pod(t);
  capture.select(theWhole(path));
  const web = await container('web');
  select(web.path, 'web');
  await web.connection.get('/text', 'one');
  capture.exclude(web.path);
  await web.connection.get('/text', 'two');
  select(web.path, 'web');
  await web.connection.get('/text', 'three');
  capture.exclude(web.path);
  capture.release(web.path);
  await web.connection.get('/text', 'of a container that nobody names');
  t.deepEqual((await collector.finish(QUIET_MS)).map(summary), [
    ['web', 'one', 200, false],
    ['web', 'three', 200, true],
  ]);
});

rootTest(
  'a pod that is released is silent at once, with its containers and their open connections',
  async (t) => {
    const { path, container, capture, collector, select } = await pod(t);
    capture.select(theWhole(path));
    const [web, nameless] = [await container('web', 'inner'), await container('nameless')];
    select(web.path, 'web');
    await web.connection.get('/text', 'one');
    await nameless.connection.get('/text', 'held');
    await sleep(50);
    t.true(capture.release(path));
    t.false(capture.release(web.path), 'it went with its pod');
    const { seen } = capture.ledger().bytes;
    await web.connection.get('/text', 'two');
    await nameless.connection.get('/text', 'three');
    t.is(capture.ledger().bytes.seen, seen, 'the probes are gone');
    t.deepEqual((await collector.finish(QUIET_MS)).map(summary), [['web', 'one', 200, false]]);
    const ledger = capture.ledger();
    t.deepEqual(ledger.exchanges.dropped, { released: 1 });
    assertClosed(t, ledger);

    capture.select(theWhole(path));
    select(nameless.path, 'named');
    await nameless.connection.get('/text', 'four');
    t.truthy(await until(() => capture.ledger().exchanges.captured === 3));
  },
);

rootTest('what nobody names in ten seconds is dropped, on the ledger and in coverage', async (t) => {
  const { path, container, capture, collector, select } = await pod(t);
  capture.select(theWhole(path));
  const web = await container('web');
  await web.connection.get('/text', 'early');
  const dropped = () => capture.ledger().exchanges.dropped.unattributed === 1;
  t.truthy(await until(dropped, { timeoutMs: 15_000, everyMs: 100 }));
  t.regex(capture.coverage().targets[0]?.notes.join() ?? '', /^1 exchanges are dropped: nobody named/);
  select(web.path, 'web');
  await web.connection.get('/text', 'late');
  t.deepEqual((await collector.finish(QUIET_MS)).map(summary), [['web', 'late', 200, false]]);
  web.connection.close();
  await sleep(QUIET_MS);
  assertClosed(t, capture.ledger());
});

rootTest('what nobody named is dropped when the capture ends, and the account closes', async (t) => {
  const { path, container, capture, collector } = await pod(t);
  capture.select(theWhole(path));
  const web = await container('web');
  await web.connection.get('/text', 'held');
  await sleep(50);
  capture.stop();
  t.deepEqual(await collector.finish(QUIET_MS), []);
  const ledger = capture.ledger();
  t.deepEqual(ledger.exchanges.dropped, { unattributed: 1 });
  assertClosed(t, ledger);
});
