/** One of our services as a process of its own, as its users start it. */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { killAtExit } from './last-resort.ts';
import { until } from './until.ts';

export interface Service {
  pid: number;
  /** What it wrote, both streams. */
  output(): string;
  running(): boolean;
  /** SIGTERM and its end; SIGKILL when it takes longer than `graceMs`. */
  stop(graceMs?: number): Promise<void>;
}

export interface ServiceOptions {
  name: string;
  /** Path below the repository and arguments, as in `agent/main.ts --config …`. */
  args: readonly [main: string, ...rest: string[]];
  /** True once it serves. */
  ready(): Promise<boolean>;
  readyTimeoutMs?: number;
  /** Pin to one core. */
  core?: number;
  /** Beside our own. */
  env?: Record<string, string>;
  /** A cgroup2 directory that it is in from its first instruction. */
  cgroup?: string | undefined;
  /** Has all that it writes, beside what `output` keeps. */
  logFile?: string | undefined;
}

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
// Enough of a log to say what went wrong.
const OUTPUT_KEPT = 64_000;

export async function startService(options: ServiceOptions): Promise<Service> {
  const { name, args, ready, readyTimeoutMs = 15_000, core } = options;
  const program = args[0].endsWith('.ts') ? [process.execPath, ...args] : args;
  const pinned = core === undefined ? program : ['taskset', '-c', String(core), ...program];
  const [command = '', ...rest] = options.cgroup === undefined ? pinned : inCgroup(options.cgroup, pinned);
  const env = {
    ...process.env,
    PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
    ...options.env,
  };
  const child = spawn(command, rest, { cwd: REPOSITORY, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const log = options.logFile === undefined ? undefined : createWriteStream(options.logFile, { flags: 'a' });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_KEPT);
      log?.write(text);
    });
  }
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve()).once('error', () => resolve());
  });
  void ended.then(killAtExit(child.pid)).then(() => log?.end());
  const isRunning = () => child.pid !== undefined && child.exitCode === null && child.signalCode === null;

  const service: Service = {
    pid: child.pid ?? 0,
    output: () => output,
    running: isRunning,
    async stop(graceMs = 15_000) {
      if (!isRunning()) return;
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await ended;
      clearTimeout(hard);
    },
  };
  const up = await until(async () => !isRunning() || (await ready().catch(() => false)), {
    timeoutMs: readyTimeoutMs,
    everyMs: 50,
  });
  if (up && isRunning()) return service;
  await service.stop();
  throw new Error(
    `start ${name}: ${up ? 'it ended' : `not ready in ${readyTimeoutMs} ms`}. It said:\n${output}`,
  );
}

/** A command line that moves itself there before it becomes `command`. */
export function inCgroup(cgroup: string, command: readonly string[]): string[] {
  return ['/bin/sh', '-c', 'echo $$ >"$0" && exec "$@"', join(cgroup, 'cgroup.procs'), ...command];
}
