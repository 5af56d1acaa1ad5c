/** A throw-away cgroup2 directory and the processes born inside it. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './until.ts';

// Unified hierarchy first; hybrid mode (v1 controllers beside cgroup2) has it one level down.
const MOUNTS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];

let made = 0;

export interface Cgroup {
  path: string;
  /** A cgroup below this one; removed together with it. */
  child(name: string): Cgroup;
  /**
   * Starts a program that is inside from its first instruction: a socket belongs to the cgroup of the
   * process that made it, and an accepted socket to that of its listener.
   */
  spawn(command: string, args: readonly string[], options?: SpawnOptions): ChildProcess;
  pids(): number[];
  /** Kills what is left inside and below, and removes the directories. */
  remove(): Promise<void>;
}

/** Why nothing here can run on this machine, or null when it can. */
export function whyNoCgroups(): string | null {
  if (process.getuid?.() !== 0) return 'needs root: cgroups and BPF';
  if (!findMount()) return 'needs a cgroup2 mount at /sys/fs/cgroup or /sys/fs/cgroup/unified';
  return null;
}

export function createCgroup(name = 'test'): Cgroup {
  const mount = findMount();
  if (!mount) throw new Error(`create cgroup ${name}: no cgroup2 mount among ${MOUNTS.join(', ')}`);
  return openCgroup(join(mount, `podmirror-${name}-${process.pid}-${++made}`));
}

/** Path of a cgroup as configurations and exchanges name it: from the mount on, with the first `/`. */
export function belowMount(path: string): string {
  return path.slice(findMount()?.length ?? 0);
}

function findMount(): string | undefined {
  return MOUNTS.find((mount) => existsSync(join(mount, 'cgroup.controllers')));
}

function openCgroup(path: string): Cgroup {
  mkdirSync(path);
  return {
    path,
    child: (name) => openCgroup(join(path, name)),
    spawn: (command, args, options = {}) =>
      spawn(
        '/bin/sh',
        ['-c', 'echo $$ > "$0" && exec "$@"', join(path, 'cgroup.procs'), command, ...args],
        options,
      ),
    pids: () => pidsIn(path),
    remove: () => remove(path),
  };
}

function pidsIn(path: string): number[] {
  return readFileSync(join(path, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
}

async function remove(path: string): Promise<void> {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await remove(join(path, entry.name));
  }
  const gone = await until(() => {
    kill(path);
    return tryRemove(path);
  });
  if (!gone) throw new Error(`remove cgroup ${path}: still busy with pids ${pidsIn(path).join(' ')}`);
}

function kill(path: string): void {
  // cgroup.kill is there since Linux 5.14.
  const all = join(path, 'cgroup.kill');
  if (existsSync(all)) {
    writeFileSync(all, '1');
    return;
  }
  for (const pid of pidsIn(path)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
}

function tryRemove(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    // A killed process leaves its cgroup only when it has been reaped.
    if (error instanceof Error && 'code' in error && error.code === 'EBUSY') return false;
    throw error;
  }
}
