/** CPU time and memory of processes, as the kernel counts them. */
import { readFileSync } from 'node:fs';

// USER_HZ, the unit of /proc/<pid>/stat and /proc/stat, is 100 on every Linux that Node runs on.
const TICK_US = 10_000;

/** User and system time in µs of all threads, ended ones too. */
export function cpuTimeUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field is a name that may hold blanks and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kib ?? 0) * 1024;
}

/** Busy time of the whole machine in µs: everything but idle, waiting and what the host stole. */
export function machineBusyUs(): number {
  const line = /^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'latin1'))?.[1] ?? '';
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(' ').map(Number);
  return (user + nice + system + irq + softirq) * TICK_US;
}
