/** A cgroup of one name in every hierarchy: the controllers of cgroup v1, and cgroup2. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../harness/until.ts';

const ROOT = '/sys/fs/cgroup';
const isUnified = (mount: string): boolean => existsSync(join(mount, 'cgroup.controllers'));

/** Mount points; one on a machine with cgroup2 only. */
export function hierarchies(): string[] {
  if (isUnified(ROOT)) return [ROOT];
  return readdirSync(ROOT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(ROOT, name))
    .filter((mount) => existsSync(join(mount, 'cgroup.procs')));
}

/** The one in which every process of a cluster is, whatever its controllers are. */
export function unifiedMount(): string {
  const mount = hierarchies().find(isUnified);
  if (!mount) throw new Error(`cgroups: no cgroup2 mount at ${ROOT} or below it`);
  return mount;
}

/** Returns the cgroup2 directory of its `system`: processes are in leaves only. */
export function createCgroups(cgroup: string): string {
  for (const mount of hierarchies()) mkdirSync(join(mount, cgroup));
  const unified = join(unifiedMount(), cgroup);
  const controllers = readFileSync(join(unified, 'cgroup.controllers'), 'utf8').trim();
  const enable = controllers
    .split(' ')
    .filter(Boolean)
    .map((name) => `+${name}`)
    .join(' ');
  // Those of a pod exist only where every cgroup above it passes them on.
  if (enable) writeFileSync(join(unified, 'cgroup.subtree_control'), enable);
  const system = join(unified, 'system');
  mkdirSync(system);
  return system;
}

/** Kills what is inside and below, waits for its end and removes the directories. */
export async function removeCgroups(cgroup: string): Promise<void> {
  const unified = join(unifiedMount(), cgroup);
  if (existsSync(unified)) {
    const gone = await until(
      () => {
        const pids = pidsBelow(unified);
        for (const pid of pids) kill(pid);
        return pids.length === 0;
      },
      { timeoutMs: 30_000, everyMs: 20 },
    );
    if (!gone) throw new Error(`remove cgroup ${unified}: still there: pids ${pidsBelow(unified).join(' ')}`);
  }
  for (const path of hierarchies().map((mount) => join(mount, cgroup))) {
    if (await until(() => removeTree(path))) continue;
    throw new Error(`remove cgroup ${path}: busy with pids ${pidsBelow(path).join(' ')}`);
  }
}

/** Of the cgroup2 directory and all below it. */
export function pidsBelow(path: string): number[] {
  const own = read(join(path, 'cgroup.procs')).split('\n').filter(Boolean).map(Number);
  return [...own, ...childrenOf(path).flatMap(pidsBelow)];
}

function childrenOf(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(path, name));
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // Somebody else removed it meanwhile.
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

function removeTree(path: string): boolean {
  for (const child of childrenOf(path)) removeTree(child);
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
