/** The target is never touched: probes come and go, an agent dies, and no client notices. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { buildBpfPrograms } from '../harness/bpf-programs.ts';
import { openCgroup } from '../harness/capture.ts';
import { programsOf } from '../harness/programs-of.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { attach } from '../tls/attach.ts';
import { runLoad, startLoad } from '../tls/load.ts';
import { openServer } from '../tls/server.ts';
import { nginx, nginxPorts } from '../tls/servers/nginx.ts';
import { alteredText } from '../tls/text.ts';

const CYCLES = Number(process.env.PODMIRROR_TLS_CYCLES ?? 1000);
const LIBRARIES = /\/podmirror-test-.*\/libssl\.so/;
const ADDON = fileURLToPath(new URL('../../bpf/addon.ts', import.meta.url));
const HOLDER = `
  const { Capture } = await import(${JSON.stringify(ADDON)});
  const capture = new Capture();
  capture.select({ cgroup: process.argv[1], identity: { name: 'held' } });
  for (;;) {
    const batch = await capture.nextBatch(100);
    if (batch) process.stdout.write('exchanges ');
    if (batch) capture.settle(batch.id, 'delivered');
  }
`;

/** nginx with new connections all the time. */
async function nginxUnderLoad(t: ExecutionContext) {
  t.timeout(600_000);
  const programs = buildBpfPrograms();
  t.teardown(() => programs.remove());
  const cgroup = openCgroup(t);
  const server = await openServer(t, nginx(await nginxPorts()), { cgroup, ownLibrary: true });
  const altered = () => alteredText(cgroup.pids(), LIBRARIES);
  t.deepEqual(altered(), [], 'nothing is there before');
  const load = await startLoad({
    port: server.port,
    prefix: 'load',
    requests: 0,
    connections: 8,
    per: 5,
    rate: 1500,
  });
  // A test that fails before its end must not leave it running.
  t.teardown(() => load.stop());
  /** Every request was answered with what its number calls for, and nothing is left in the kernel or in the library. */
  const assertUntouched = async (ids: ReadonlySet<string>) => {
    const { answered, failed, errors } = await load.stop();
    t.log(`${answered} requests`);
    t.true(answered > 0);
    t.is(failed, 0, errors.join('\n'));
    // The kernel frees a program a moment after the last reference to it is gone.
    t.truthy(
      await until(() => programs.loaded().every((id) => !ids.has(id)), { timeoutMs: 120_000 }),
      'no BPF program of it is left',
    );
    t.deepEqual(programs.attached(cgroup.path), []);
    t.truthy(await until(() => altered().length === 0), JSON.stringify(altered()));
  };
  return { cgroup, server, altered, assertUntouched };
}

rootTest(
  'kill -9 of the process that captures under load fails no request and leaves no probe',
  async (t) => {
    const { cgroup, server, altered, assertUntouched } = await nginxUnderLoad(t);
    const holder = spawn(process.execPath, ['--input-type=module', '-e', HOLDER, cgroup.path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => void holder.kill('SIGKILL'));
    await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit')]);
    t.is(holder.exitCode, null, 'it captures');
    const probed = altered();
    t.log(`altered while it lives: ${JSON.stringify(probed)}`);
    t.deepEqual(
      new Set(probed.map(({ pid }) => pid)),
      new Set(cgroup.pids()),
      'a probe is in every process of the target',
    );

    const ids = programsOf(holder.pid ?? 0);
    t.true(ids.size > 2, 'the harness itself: programs of both kinds are held');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    t.like(await runLoad({ port: server.port, prefix: 'after', requests: 500, per: 5 }), {
      answered: 500,
      failed: 0,
    });
    await assertUntouched(ids);
  },
);

rootTest(
  `${CYCLES} times selected and released under load: no request fails, nothing wrong is delivered`,
  async (t) => {
    const { cgroup, server, assertUntouched } = await nginxUnderLoad(t);
    const { capture, account, quiet } = await attach(t, server);
    // A selection that stays finds connections that are older than itself.
    account.begin('load', { older: 'some', released: true });
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      t.true(capture.release(cgroup.path));
      capture.select({ cgroup: cgroup.path, identity: { name: `cycle-${cycle}` } });
      // Some stay for a while, most are gone at once.
      if (cycle % 20 === 0) await until(() => false, { timeoutMs: 50 });
    }
    const during = account.count();
    t.truthy(
      await until(() => account.count() > during, { timeoutMs: 15_000 }),
      'the last selection captures',
    );
    const { answered } = await runLoad({ port: server.port, prefix: 'after', requests: 500, per: 5 });
    t.is(answered, 500);
    capture.release(cgroup.path);
    await quiet();
    t.log(`${account.count()} exchanges`);
    t.deepEqual(account.wrong(), []);
    const ids = programsOf(process.pid);
    t.true(ids.size > 2, 'the harness itself: programs of both kinds are held');
    capture.close();
    await assertUntouched(ids);
  },
);
