/** TLS connections that are older than the capture are read by their library's calls: while there are any, and never wrong. */
import type { ExecutionContext } from 'ava';
import { assertClosed, openCapture } from '../harness/capture.ts';
import { headerValue } from '../harness/facts.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { createAccount } from '../tls/account.ts';
import { assertAllRight } from '../tls/all-right.ts';
import { startLoad } from '../tls/load.ts';
import { openServer, type TlsServer } from '../tls/server.ts';
import { nginx, nginxPorts } from '../tls/servers/nginx.ts';

const CONNECTIONS = 100;
/** Until it is told to stop. */
const ENDLESS = 1_000_000;
const ROOM = { ringBytes: 64 << 20, maxQueueBytes: 256 << 20 };

/** A capture with an account of the older connections and one of the others. */
function watch(t: ExecutionContext, { cgroup }: TlsServer) {
  const [older, newer] = [createAccount(), createAccount()];
  const numbers = new Map<string, number[]>();
  let last = 0;
  const { capture } = openCapture(t, ROOM, (exchange) => {
    last = performance.now();
    older.take(exchange);
    newer.take(exchange);
    const [prefix, connection = '', number] = (headerValue(exchange.request.headers, 'x-id') ?? '').split(
      '-',
    );
    if (prefix === 'old') numbers.set(connection, [...(numbers.get(connection) ?? []), Number(number)]);
  });
  older.begin('old', { older: true });
  capture.select({ cgroup: cgroup.path, identity: { name: 'tls' } });
  const quiet = async () => {
    const begin = performance.now();
    await until(() => performance.now() - Math.max(begin, last) > 700, { timeoutMs: 60_000, everyMs: 50 });
  };
  return { capture, older, newer, numbers, quiet };
}

for (const version of ['1.2', '1.3'] as const) {
  rootTest(
    `attached in the midst of ${CONNECTIONS} live TLS ${version} connections: all are read until they end, then the probes go; new ones beside them are exact`,
    async (t) => {
      t.timeout(180_000);
      const server = await openServer(t, nginx(await nginxPorts()));
      const shape = { port: server.port, version };
      const old = await startLoad({
        ...shape,
        prefix: 'old',
        requests: CONNECTIONS * ENDLESS,
        connections: CONNECTIONS,
        per: ENDLESS,
        hold: 5,
        rate: 1500,
        slow: 40,
      });
      t.teardown(() => old.stop());
      await old.held;
      const { capture, older, newer, numbers, quiet } = watch(t, server);
      const coverage = () => capture.coverage().targets[0];
      t.deepEqual(coverage()?.tls.calls, [], 'nothing says that there are older connections');
      old.release();
      t.truthy(
        await until(() => numbers.size === CONNECTIONS, { timeoutMs: 60_000 }),
        `${numbers.size} are read`,
      );
      t.regex(coverage()?.tls.calls.join() ?? '', /libssl/);
      t.regex(coverage()?.notes.join() ?? '', /older than the agent: probes stand/);

      const load = { ...shape, requests: 3200, connections: 32, per: 50, rate: 1500 };
      newer.begin('beside');
      t.like(await (await startLoad({ ...load, prefix: 'beside' })).done, {
        answered: load.requests,
        failed: 0,
      });
      const outcome = await old.stop();
      t.is(outcome.failed, 0, outcome.errors.join('; '));
      t.truthy(
        await until(() => coverage()?.tls.calls.length === 0, { timeoutMs: 60_000 }),
        `probes stand: ${JSON.stringify(coverage())}`,
      );
      await quiet();
      t.is(newer.count(), load.requests);
      t.deepEqual(newer.wrong(), []);
      t.deepEqual(coverage()?.notes, []);
      t.deepEqual(older.wrong(), []);
      const holes = [...numbers].filter(([, of]) => Math.max(...of) - Math.min(...of) + 1 !== of.length);
      const ledger = capture.ledger();
      t.log(
        `${older.count()} of ${outcome.answered} exchanges of older connections`,
        JSON.stringify(ledger.bytes),
      );
      t.deepEqual(holes, [], 'none is missing once a connection is read');
      assertClosed(t, ledger);
      await assertAllRight(t, { capture, account: newer, quiet }, server, { ...load, prefix: 'later' });
    },
  );
}
