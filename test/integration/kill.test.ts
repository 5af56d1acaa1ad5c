/** A capture that ends without saying goodbye leaves the kernel as it was. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { buildBpfPrograms } from '../harness/bpf-programs.ts';
import { openCgroup, openNginx } from '../harness/capture.ts';
import { openConnection } from '../harness/raw-connection.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';

const ADDON = fileURLToPath(new URL('../../bpf/addon.ts', import.meta.url));
const HOLDER = `
  const { Capture } = await import(${JSON.stringify(ADDON)});
  const capture = new Capture();
  capture.select({ cgroup: process.argv[1], identity: { name: 'held' } });
  process.stdout.write('selected');
  for (;;) await capture.nextBatch(1000);
`;

rootTest(
  'kill -9 of the process that captures leaves no BPF program, and the server serves on',
  async (t) => {
    const cgroup = openCgroup(t);
    const nginx = await openNginx(t, { cgroup });
    const programs = buildBpfPrograms();
    t.teardown(() => programs.remove());
    const before = new Set(programs.loaded());

    const holder = spawn(process.execPath, ['--input-type=module', '-e', HOLDER, cgroup.path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => void holder.kill('SIGKILL'));
    await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit')]);
    t.is(holder.exitCode, null, 'the holder holds its capture');
    t.true(programs.attached(cgroup.path).length >= 2, 'ingress and egress are attached while it lives');
    t.true(programs.loaded().some((id) => !before.has(id)));

    const connection = await openConnection(nginx.port);
    await connection.get('/text', 'captured');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    t.is((await connection.get('/text', 'afterwards')).status, 200);
    connection.close();

    // The kernel frees a program a moment after the last reference to it is gone.
    t.truthy(await until(() => programs.attached(cgroup.path).length === 0), 'nothing is attached');
    t.truthy(await until(() => programs.loaded().every((id) => before.has(id))), 'nothing is loaded');
  },
);
