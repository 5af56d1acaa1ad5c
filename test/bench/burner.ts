/**
 * Takes a part of a core and touches nothing else. Two virtual processors may be one core of the host: then whatever
 * runs on one slows the other, and this shows how much of a ratio is the machine's.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { killAtExit } from '../harness/last-resort.ts';

const PROCESS = fileURLToPath(new URL('burner-process.ts', import.meta.url));

/** `part` of the core, from 0 to 1, in turns of about a millisecond as the agent does. */
export async function withBurner<T>(
  { core, part }: { core: number; part: number },
  work: () => Promise<T>,
): Promise<T> {
  const args = ['-c', String(core), process.execPath, PROCESS, String(part)];
  const child = spawn('taskset', args, { stdio: 'ignore' });
  const forget = killAtExit(child.pid);
  try {
    return await work();
  } finally {
    child.kill('SIGKILL');
    forget();
  }
}
