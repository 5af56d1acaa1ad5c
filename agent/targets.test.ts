import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { type CgroupTree, cgroupTree, startTicksOf, unifiedPath } from './cgroups.ts';
import type { TargetConfig } from './config.ts';
import { fakeCapture } from './fake/capture.ts';
import { fakeLog } from './fake/log.ts';
import { createTargets } from './targets.ts';

const mount = '/sys/fs/cgroup';

function machine(targets: TargetConfig[], capture = fakeCapture()) {
  const inodes = new Map<string, number>([['/', 1]]);
  const processes = new Map<number, { path: string; startTicks: string }>();
  const tree: CgroupTree = {
    list: async () => new Map(inodes),
    below: () => new Map(),
    processOf: async (pid) => processes.get(pid),
  };
  const log = fakeLog();
  return { inodes, processes, log, capture, targets: createTargets({ targets, capture, tree, mount, log }) };
}

const web = '/system.slice/web.service';

test('a target is attached when its cgroup appears and released when it goes, one line each', async (t) => {
  const { targets, inodes, log, capture } = machine([{ unit: 'web', name: 'shop' }]);
  await targets.resolve();
  await targets.resolve();
  inodes.set(web, 5);
  await targets.resolve();
  await targets.resolve();
  t.deepEqual([...capture.selected], [[`${mount}${web}`, { name: 'shop' }]]);
  inodes.delete(web);
  await targets.resolve();
  await targets.resolve();
  t.is(capture.selected.size, 0);
  t.deepEqual(log.lines, [
    'warn targets[0] (unit web): no such cgroup now. Start it, or see `systemctl list-units`',
    `info mirroring ${web} as shop`,
    `info released ${web}: its cgroup is gone`,
    'warn targets[0] (unit web): no such cgroup now. Start it, or see `systemctl list-units`',
  ]);
});

test('a service that was restarted between two looks is attached again: its cgroup is another one', async (t) => {
  const { targets, inodes, log } = machine([{ unit: 'web' }]);
  inodes.set(web, 5);
  await targets.resolve();
  inodes.set(web, 6);
  await targets.resolve();
  t.deepEqual(log.lines.slice(1), [
    `info released ${web}: its cgroup was made anew`,
    `info mirroring ${web} as web.service`,
  ]);
});

test('a refusal is told once, tried again each round, and ends when the addon accepts', async (t) => {
  let refusals = 0;
  const capture = fakeCapture({
    refuse: () =>
      refusals++ < 2 ? Object.assign(new Error('no. Do this'), { code: 'NO_CAPABILITY' }) : undefined,
  });
  const { targets, inodes, log } = machine([{ unit: 'web' }], capture);
  inodes.set(web, 5);
  for (let round = 0; round < 4; round++) await targets.resolve();
  t.deepEqual(log.lines, [`warn not mirroring ${web}: no. Do this`, `info mirroring ${web} as web.service`]);
  t.deepEqual(targets.status(), { attached: [web], notes: [] });
});

test('a pid that begins to mean another process is not followed', async (t) => {
  const { targets, inodes, processes, capture } = machine([{ pid: 7 }]);
  inodes.set(web, 5).set('/other', 6);
  processes.set(7, { path: web, startTicks: '100' });
  await targets.resolve();
  t.is(capture.selected.size, 1);
  processes.set(7, { path: '/other', startTicks: '900' });
  await targets.resolve();
  t.is(capture.selected.size, 0);
});

test('a cgroup tree that cannot be read is told and does not end the agent', async (t) => {
  const log = fakeLog();
  const tree = {
    list: () => Promise.reject(new Error('EIO')),
    below: () => new Map(),
    processOf: async () => undefined,
  };
  const targets = createTargets({ targets: [{ unit: 'web' }], capture: fakeCapture(), tree, mount, log });
  await targets.resolve();
  t.deepEqual(log.lines, ['warn look for targets: EIO']);
});

const procCgroup: [text: string, path: string | undefined][] = [
  ['12:pids:/x\n1:name=systemd:/y\n0::/system.slice/web.service\n', '/system.slice/web.service'],
  ['0::/\n', '/'],
  ['0::/a:b::c\n', '/a:b::c'],
  ['0::/gone (deleted)\n', undefined],
  ['1:name=systemd:/y\n', undefined],
];

for (const [text, path] of procCgroup) {
  test(`/proc/<pid>/cgroup ${JSON.stringify(text)} is cgroup ${path}`, (t) => t.is(unifiedPath(text), path));
}

test('the start of a process is read past a name with blanks and brackets', (t) => {
  const fields = Array.from({ length: 50 }, (_, index) => String(index + 3));
  t.is(startTicksOf(`42 (a) b (c)) ${fields.join(' ')}`), '22');
});

const realMount = mountOfCgroup2();
const onRealCgroups = realMount !== undefined && process.getuid?.() === 0 ? test.serial : test.serial.skip;

onRealCgroups('real cgroups and processes are followed (skipped without root and cgroup2)', async (t) => {
  const top = `/podmirror-test-${process.pid}`;
  const at = (path: string) => `${realMount}${path}`;
  const child: ChildProcess = spawn('sleep', ['60']);
  mkdirSync(at(`${top}/inner/web.service`), { recursive: true });
  try {
    const log = fakeLog();
    const capture = fakeCapture();
    const { pid = 0 } = child;
    const targets = createTargets({
      targets: [{ cgroup: `${top}/*/web.service` }, { pid }],
      capture,
      tree: cgroupTree({ mount: String(realMount) }),
      mount: String(realMount),
      log,
    });
    writeFileSync(at(`${top}/inner/web.service/cgroup.procs`), String(pid));
    await targets.resolve();
    t.deepEqual([...capture.selected.keys()], [at(`${top}/inner/web.service`)]);

    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill();
    await exited;
    rmdirSync(at(`${top}/inner/web.service`));
    mkdirSync(at(`${top}/inner/web.service`));
    await targets.resolve();
    t.is(capture.selected.size, 1);
    t.true(
      log.lines.some((line) => line.includes('made anew')),
      'the inode tells a new cgroup of the old name',
    );
    t.true(log.lines.some((line) => line.includes('no such process now')));
  } finally {
    child.kill('SIGKILL');
    for (const path of [`${top}/inner/web.service`, `${top}/inner`, top]) rmdirSync(at(path));
  }
});

function mountOfCgroup2(): string | undefined {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1];
}
