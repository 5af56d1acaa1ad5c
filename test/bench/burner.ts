/**
 * Takes a part of a core and touches nothing else. Two virtual processors may be one core of the host: then whatever
 * runs on one slows the other, and this shows how much of a ratio is the machine's.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { killAtExit } from '../harness/last-resort.ts';

const PROCESS = fileURLToPath(new URL('./burner-process.ts', import.meta.url));

export interface Burner {
  pid: number;
  /** `part` of the core of this process, from 0 to 1, in turns of about a millisecond as the agent does. */
  burn(part: number): void;
  close(): void;
}

export function startBurner(): Burner {
  const child = fork(PROCESS);
  const forget = killAtExit(child.pid);
  return {
    pid: child.pid ?? 0,
    burn: (part) => void child.send(part),
    close() {
      child.kill('SIGKILL');
      forget();
    },
  };
}
