/** What the kernel counts to the nanosecond: CPU time of a task, and what kept it from its core. */
import { readdirSync, readFileSync } from 'node:fs';

export interface TaskTimes {
  cpuNs: number;
  /** Ready to run, while something else had the core. */
  waitedNs: number;
  /** How often it went to sleep. */
  sleeps: number;
}

/** Of the main thread, which is all that an nginx worker has. */
export function taskTimes(pid: number): TaskTimes {
  const [cpuNs = 0, waitedNs = 0] = readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ').map(Number);
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return { cpuNs, waitedNs, sleeps: Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0) };
}

/** Of all threads; those that ended meanwhile are not in it. */
export function processNs(pid: number): number {
  const folder = `/proc/${pid}/task`;
  const ofThread = (thread: string) =>
    Number(readFileSync(`${folder}/${thread}/schedstat`, 'latin1').split(' ')[0]);
  return readdirSync(folder).reduce((sum, thread) => sum + ofThread(thread), 0);
}

/** What the host took from a core, in its ticks of 10 ms. */
export function stolenNs(core: number): number {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'latin1'))?.[1] ?? '';
  return Number(line.split(' ')[7] ?? 0) * 10_000_000;
}
