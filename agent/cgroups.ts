// What this machine looks like: the cgroup2 tree below the mount, and the cgroups of processes.
import { readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface CgroupTree {
  /** Path below the mount, beginning with / → inode. A directory made again under its old name has another inode. */
  list(): Promise<Map<string, number>>;
  /** Of one cgroup and all below it, at once; empty when it is gone. */
  below(path: string): Map<string, number>;
  /** Undefined when no such process lives. */
  processOf(pid: number): Promise<ProcessCgroup | undefined>;
}

export interface ProcessCgroup {
  path: string;
  /** Clock ticks since boot; with the pid, it names a process for good. */
  startTicks: string;
}

/** `isLeaf`: what lies below such a path is not looked at. */
export function cgroupTree({
  mount,
  proc = '/proc',
  isLeaf = () => false,
}: {
  mount: string;
  proc?: string;
  isLeaf?: (path: string) => boolean;
}): CgroupTree {
  return {
    async list() {
      const inodes = new Map<string, number>();
      walk({ mount, path: '', isLeaf, inodes });
      return inodes;
    },
    below(path) {
      const inodes = new Map<string, number>();
      walk({ mount, path, isLeaf, inodes });
      return inodes;
    },
    async processOf(pid) {
      try {
        const [cgroup, stat] = await Promise.all([
          readFile(`${proc}/${pid}/cgroup`, 'utf8'),
          readFile(`${proc}/${pid}/stat`, 'utf8'),
        ]);
        const path = unifiedPath(cgroup);
        return path === undefined ? undefined : { path, startTicks: startTicksOf(stat) };
      } catch (error) {
        if (isGone(error)) return undefined;
        throw error;
      }
    },
  };
}

interface Walk {
  mount: string;
  path: string;
  isLeaf: (path: string) => boolean;
  inodes: Map<string, number>;
}

/** Synchronous: kernfs answers from memory, and a look every two seconds costs a fifth of what promises make of it. */
function walk({ path, ...rest }: Walk): void {
  const { mount, isLeaf, inodes } = rest;
  const directory = join(mount, path);
  try {
    const { ino, nlink } = statSync(directory);
    inodes.set(path === '' ? '/' : path, ino);
    // kernfs counts subdirectories in the link count: 2 is a leaf, and most cgroups are leaves.
    if (nlink === 2 || isLeaf(path)) return;
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) walk({ path: `${path}/${entry.name}`, ...rest });
    }
  } catch (error) {
    // Cgroups come and go while the tree is read, and who owns one may close it to all others: what is in there is not the
    // kubelet's, and must not hide the rest.
    if (!isGone(error) && !isClosed(error)) throw error;
  }
}

const isClosed = (error: unknown): boolean =>
  ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENODEV' || code === 'ESRCH';
}

/** The line `0::/path` of /proc/<pid>/cgroup, cgroups(7); undefined when the process is in no living cgroup. */
export function unifiedPath(procCgroup: string): string | undefined {
  const line = procCgroup.split('\n').find((entry) => entry.startsWith('0::'));
  const path = line?.slice('0::'.length);
  return path === undefined || path.endsWith(' (deleted)') ? undefined : path;
}

/** Field 22 of /proc/<pid>/stat, proc_pid_stat(5); the name in field 2 may hold blanks and brackets. */
export function startTicksOf(procStat: string): string {
  const afterName = procStat.slice(procStat.lastIndexOf(')') + 2).split(' ');
  return afterName[22 - 3] ?? '';
}
