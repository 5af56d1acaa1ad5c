/** The kernel's out-of-memory killer, called on one container. */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from '../harness/run-tool.ts';
import { inCgroup } from '../harness/service.ts';

const MEMORY = '/sys/fs/cgroup/memory';
const UNIFIED = '/sys/fs/cgroup';
const MIB = 1024 ** 2;

/**
 * Fills the memory of the container that `pid` is in, up to its own limit, with pages that belong to no process: the kernel
 * then ends the largest process of the container. Removes them again.
 */
export async function squeeze(pid: number): Promise<void> {
  const cgroup = memoryCgroup(pid);
  const folder = `/dev/shm/podmirror-squeeze-${pid}`;
  mkdirSync(folder);
  try {
    // Less by what the filler itself needs.
    const count = Math.floor(limitOf(cgroup) / MIB) - 8;
    const fill = ['dd', 'if=/dev/zero', `of=${folder}/pages`, 'bs=1M', `count=${count}`];
    const [command = '', ...args] = inCgroup(cgroup, fill);
    // It may be ended itself, once what was to be ended has been.
    await runTool(command, args).catch(() => {});
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Bytes. */
function limitOf(cgroup: string): number {
  const file = ['memory.max', 'memory.limit_in_bytes'].map((name) => join(cgroup, name)).find(existsSync);
  const limit = Number(readFileSync(file ?? '', 'utf8'));
  if (limit > 0 && limit < 4096 * MIB) return limit;
  throw new Error(`squeeze: ${cgroup} has no limit of its memory (${limit})`);
}

function memoryCgroup(pid: number): string {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n');
  const path = (controller: string) =>
    lines.map((line) => line.split(':')).find(([, controllers]) => controllers === controller)?.[2];
  const legacy = path('memory');
  return legacy === undefined ? join(UNIFIED, path('') ?? '') : join(MEMORY, legacy);
}
