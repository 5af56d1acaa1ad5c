/** What must not be seen: other cgroups, and what a target asks of others. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { assertClosed, openCapture, openCgroup, openNginx } from '../harness/capture.ts';
import { compare, describeDifference, isEmpty } from '../harness/compare.ts';
import { factOfExchange, factOfSent, headerValue } from '../harness/facts.ts';
import { planMix } from '../harness/mix.ts';
import { seededRandom } from '../harness/random.ts';
import { rootTest } from '../harness/root-test.ts';
import { sendAll } from '../harness/traffic.ts';

const REQUESTS = 2000;
const CURLS = 20;

rootTest('another cgroup that serves HTTP at the same time is never seen', async (t) => {
  const target = openCgroup(t, 'target');
  const neighbour = openCgroup(t, 'neighbour');
  const nginx = await openNginx(t, { cgroup: target });
  const other = await openNginx(t, { cgroup: neighbour });
  // Room enough, as in differential.test.ts.
  const { capture, collector } = openCapture(t, { ringBytes: 64 << 20 });
  capture.select({ cgroup: target.path, identity: { name: 'target' } });

  const plan = (prefix: string, seed: number) =>
    planMix({ random: seededRandom(seed), requests: REQUESTS, prefix });
  const [sent] = await Promise.all([
    sendAll(plan('target', 1), { port: nginx.port, seed: 1, concurrency: 16 }),
    sendAll(plan('neighbour', 2), { port: other.port, seed: 2, concurrency: 16 }),
  ]);
  const exchanges = await collector.finish();

  const difference = compare(sent.map(factOfSent), exchanges.map(factOfExchange));
  t.true(isEmpty(difference), describeDifference(difference));
  t.true(exchanges.every(({ connection }) => connection.serverPort === nginx.port));
  assertClosed(t, capture.ledger());
});

rootTest('what a process in the target asks of another server is not reported', async (t) => {
  const target = openCgroup(t, 'target');
  const neighbour = openCgroup(t, 'neighbour');
  const nginx = await openNginx(t, { cgroup: target });
  const other = await openNginx(t, { cgroup: neighbour });
  const { capture, collector } = openCapture(t);
  capture.select({ cgroup: target.path, identity: { name: 'target' } });

  for (let n = 0; n < CURLS; n++) {
    const url = `http://127.0.0.1:${other.port}/text`;
    const curl = target.spawn('curl', ['-sS', '-o', '/dev/null', '-H', `X-Id: elsewhere-${n}`, url]);
    await once(curl, 'exit');
  }
  await new Promise((resolve, reject) => {
    execFile('curl', ['-sS', '-H', 'X-Id: served', `http://127.0.0.1:${nginx.port}/text`], (error) =>
      error ? reject(error) : resolve(undefined),
    );
  });

  t.is((await other.accessLog(CURLS)).length, CURLS);
  const ids = (await collector.finish()).map(({ request }) => headerValue(request.headers, 'x-id'));
  t.deepEqual(ids, ['served']);
  t.true((capture.ledger().bytes.elided.client_side ?? 0) > 0, 'client_side is on the ledger');
  assertClosed(t, capture.ledger());
});

rootTest('a target that asks itself is reported once, from the server side', async (t) => {
  const target = openCgroup(t, 'target');
  const nginx = await openNginx(t, { cgroup: target });
  const { capture, collector } = openCapture(t);
  capture.select({ cgroup: target.path, identity: { name: 'target' } });

  const url = `http://127.0.0.1:${nginx.port}/text`;
  const curl = target.spawn('curl', ['-sS', '-o', '/dev/null', '-H', 'X-Id: self', url, url, url]);
  await once(curl, 'exit');

  const exchanges = await collector.finish();
  t.deepEqual(
    exchanges.map(({ connection, request }) => [connection.serverPort, headerValue(request.headers, 'x-id')]),
    Array.from({ length: 3 }, () => [nginx.port, 'self']),
  );
  assertClosed(t, capture.ledger());
});
