/** A ring far too small: exchanges may be lost, none may be wrong, and the loss is on the ledger. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { assertClosed, openCapture, openCgroup, openNginx } from '../harness/capture.ts';
import { headerValue } from '../harness/facts.ts';
import { rootTest } from '../harness/root-test.ts';

const SCRIPT = fileURLToPath(new URL('./load-loss.lua', import.meta.url));

rootTest('with a tiny ring under load every delivered exchange is right and the ledger closes', async (t) => {
  const cgroup = openCgroup(t);
  const nginx = await openNginx(t, { cgroup, workers: 2 });
  const { capture, collector } = openCapture(t, { ringBytes: 65_536 });
  capture.select({ cgroup: cgroup.path, identity: { name: 'load' } });

  const url = `http://127.0.0.1:${nginx.port}/`;
  await promisify(execFile)('wrk', ['-t2', '-c50', '-d3s', '-s', SCRIPT, url]);
  // Connections whose end was lost would stay in flight until they are idle for long.
  capture.stop();
  const exchanges = await collector.finish();

  t.true(exchanges.length > 0);
  const ids = exchanges.map(({ request }) => headerValue(request.headers, 'x-id'));
  t.is(new Set(ids).size, ids.length, 'no exchange is delivered twice');
  const wrong = exchanges.filter(({ request, response }, index) => {
    const parts = /^\/status\/(\d+)\?id=(.+)$/.exec(request.target.toString('latin1'));
    // A lost head or response is absent, and then marked; what is there must be right.
    return !parts || parts[2] !== ids[index] || (response !== null && response.status !== Number(parts[1]));
  });
  t.deepEqual(
    wrong.slice(0, 3).map(({ request, response }) => [String(request.target), response?.status]),
    [],
    `${wrong.length} of ${exchanges.length} are wrong`,
  );
  t.deepEqual(exchanges.filter(({ gap, response }) => response === null && !gap).length, 0);

  const ledger = capture.ledger();
  t.log(
    `${exchanges.length} exchanges of ${(await nginx.accessLog()).length} lines; lost`,
    ledger.bytes.lost,
  );
  t.true((ledger.bytes.lost.ring_full ?? 0) > 0, 'the ring was meant to overflow');
  assertClosed(t, ledger);
});
