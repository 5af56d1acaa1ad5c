/** A process under test that may refuse to start, be killed or be held up: how it ended, and each stream apart. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { killAtExit } from './last-resort.ts';
import { until } from './until.ts';

export interface Program {
  pid: number;
  stdout(): string;
  stderr(): string;
  running(): boolean;
  /** Exit code; null: killed by a signal. */
  ended: Promise<number | null>;
  signal(signal: NodeJS.Signals): void;
  /** Waits until its log has the pattern; false after `timeoutMs`. */
  logs(pattern: RegExp, timeoutMs?: number): Promise<boolean>;
}

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));

/** `command` must become the program with exec, so that a signal reaches it and not a parent. */
export function startProgram([file, ...args]: readonly [string, ...string[]]): Program {
  const child = spawn(file, args, { cwd: REPOSITORY, stdio: ['ignore', 'pipe', 'pipe'] });
  const forget = killAtExit(child.pid);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  }).finally(forget);
  // Whoever does not wait for its end does not want to hear of it either.
  ended.catch(() => {});
  return {
    pid: child.pid ?? 0,
    stdout: () => stdout,
    stderr: () => stderr,
    running: () => child.exitCode === null && child.signalCode === null,
    ended,
    signal: (signal) => void child.kill(signal),
    logs: async (pattern, timeoutMs = 10_000) =>
      (await until(() => pattern.test(stderr), { timeoutMs })) === true,
  };
}
