/** Who uses the processors of this machine, for a bench whose parts share them. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { cpuTimeUs, machineBusyUs } from '../harness/processes.ts';

/** µs of processor time so far, by name. */
export type ProcessorUse = ReadonlyMap<string, number>;

export const CLIENT = 'this client';
export const OTHERS = 'other processes';

/** `names`: of processes that are not told by the name of their program. */
export function processorUse(names: ReadonlyMap<number, string>): ProcessorUse {
  const use = new Map<string, number>();
  const add = (name: string, us: number) => use.set(name, (use.get(name) ?? 0) + us);
  add(CLIENT, cpuTimeUs(process.pid));
  for (const pid of childrenOf(process.pid)) {
    add(names.get(pid) ?? basename(programOf(pid)), cpuTimeUs(pid));
  }
  const ours = use.values().reduce((sum, us) => sum + us, 0);
  add(OTHERS, machineBusyUs() - ours);
  return use;
}

/** Percent of one processor, by name. */
export function percentsSince(
  before: ProcessorUse,
  after: ProcessorUse,
  wallMs: number,
): Map<string, number> {
  // The kernel measures processes and samples the machine, so that what others use may come out below nothing.
  const percentOf = (us: number) => Math.max(0, us / (wallMs * 10));
  return new Map([...after].map(([name, us]) => [name, percentOf(us - (before.get(name) ?? 0))]));
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent);
}

/** undefined: it has just ended. */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

const programOf = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] ?? '';
