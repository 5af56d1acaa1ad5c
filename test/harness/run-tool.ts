import { execFile } from 'node:child_process';
import { killAtExit } from './last-resort.ts';

/** Runs a program to its end and returns what it wrote; it never outlives this process. */
export function runTool(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { maxBuffer: 1 << 24 }, (error, stdout) => {
      forget();
      if (error) reject(new Error(`run ${command}: ${error.message}`, { cause: error }));
      else resolve(stdout);
    });
    const forget = killAtExit(child.pid);
  });
}
