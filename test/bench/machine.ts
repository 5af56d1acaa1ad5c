/** What was measured on, and by which command. */
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';

export interface Machine {
  date: string;
  kernel: string;
  cpu: string;
  cores: number;
  /** Load average now. */
  load: number;
  command: string;
}

export function machine(program: string): Machine {
  return {
    date: new Date().toISOString().slice(0, 10),
    kernel: release(),
    cpu: /^model name\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown CPU',
    cores: cpus().length,
    load: loadavg()[0] ?? 0,
    command: [`node ${program}`, ...process.argv.slice(2)].join(' '),
  };
}

export function machineLine({ date, kernel, cpu, cores, command }: Machine): string {
  return `${date} · Linux ${kernel} · ${cpu}, ${cores} cores · \`${command}\``;
}
