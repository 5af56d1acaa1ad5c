import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { until } from '../../webhook/cluster/fake/until.ts';
import { idOf, uid } from './fake/node.ts';
import { createContainerNames } from './names.ts';

/** Files as cgroupfs and procfs show them. */
function machine(t: ExecutionContext) {
  const folder = mkdtempSync(join(tmpdir(), 'names-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const [mount, proc] = [join(folder, 'cgroup'), join(folder, 'proc')];
  const put = (path: string, text: string) => {
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
  };
  let changes = 0;
  const names = createContainerNames({ mount, proc, onChange: () => changes++ });
  t.teardown(names.close);
  return {
    names,
    changes: () => changes,
    procs: (cgroup: string, pids: number[]) =>
      put(join(mount, cgroup, 'cgroup.procs'), pids.map((pid) => `${pid}\n`).join('')),
    mounts: (pid: number, name?: string) =>
      put(
        join(proc, String(pid), 'mountinfo'),
        name === undefined
          ? '1 0 0:1 / / rw - ext4 /dev/vda rw\n'
          : `2 1 254:0 /pods/${uid(1)}/containers/${name}/0a1b2c3d /dev/termination-log rw - ext4 /dev/vda rw\n`,
      ),
  };
}

const container = (id: number, path: string) => ({ id: idOf(id), path, podUid: uid(1) });

test('the name is found when the first process has its mounts, not before', async (t) => {
  const { names, changes, procs, mounts } = machine(t);
  procs('/pod/a', []);
  names.find([container(1, '/pod/a'), container(2, '/pod/gone')]);
  await new Promise((resolve) => setTimeout(resolve, 10));
  procs('/pod/a', [7]);
  mounts(7);
  await new Promise((resolve) => setTimeout(resolve, 10));
  t.is(names.get(idOf(1)), undefined);
  mounts(7, 'web');
  await until(() => changes() === 1);
  t.is(names.get(idOf(1)), 'web');
  t.is(names.get(idOf(2)), undefined);
});

test('processes in cgroups of the container itself count', async (t) => {
  const { names, changes, procs, mounts } = machine(t);
  procs('/pod/a', []);
  procs('/pod/a/init.scope', [8]);
  mounts(8, 'web');
  names.find([container(1, '/pod/a')]);
  await until(() => changes() === 1);
  t.is(names.get(idOf(1)), 'web');
});

test('what the status says counts more, and only what still exists is kept', (t) => {
  const { names } = machine(t);
  names.learn(idOf(1), 'web');
  names.learn(idOf(2), 'proxy');
  names.retain(new Set([idOf(1)]));
  t.is(names.get(idOf(1)), 'web');
  t.is(names.get(idOf(2)), undefined);
});
