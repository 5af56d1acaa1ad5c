/** A TLS server under test: born in a cgroup, with a folder and an access log of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { openCgroup } from '../harness/capture.ts';
import type { Cgroup } from '../harness/cgroup.ts';
import { temporaryDirectory } from '../harness/directory.ts';
import { killAtExit } from '../harness/last-resort.ts';
import { until } from '../harness/until.ts';
import { type AccessLine, readAccessLog } from './access-log.ts';
import { makeCertificate } from './certificate.ts';

export interface TlsServer {
  cgroup: Cgroup;
  port: number;
  /** The process that was started: a master where there are workers. */
  pid: number;
  folder: string;
  /** Lines since `mark`, or since it started; waits until there are `atLeast` of them. */
  accessLog(atLeast?: number): Promise<AccessLine[]>;
  /** What was logged until now is not told any more. */
  mark(): void;
}

export interface ServerProgram {
  /** Every server's first port. */
  port: number;
  command: readonly [string, ...string[]];
  env?: Record<string, string>;
  /** A program on a unix socket that it stands before: outside the cgroup, and what goes there is no second exchange. */
  behind?: readonly [string, ...string[]];
}

/** What a server is told; files go into `folder`, the access log is `folder/access.log`. */
export interface ServerPlace {
  folder: string;
  certificate: string;
  key: string;
}

export interface OpenServerOptions {
  /** Another one than its own. */
  cgroup?: Cgroup;
  /**
   * It loads a copy of libssl that no other process of the machine has: a probe in it can only be ours. 'keyless': and one of
   * the labels is spoiled by which its key log function is found.
   */
  ownLibrary?: boolean | 'keyless';
}

/** Starts what `program` says, and ends it with the test. */
export async function openServer(
  t: ExecutionContext,
  program: (place: ServerPlace) => Promise<ServerProgram>,
  { cgroup = openCgroup(t), ownLibrary = false }: OpenServerOptions = {},
): Promise<TlsServer> {
  const folder = temporaryDirectory(t, 0o755);
  const { certificate, key } = makeCertificate(folder);
  // Servers that give up root read it afterwards.
  chmodSync(key, 0o644);
  const { port, command, env, behind } = await program({ folder, certificate, key });
  if (behind) openHelper(t, behind);
  const [file, ...args] = command;
  const output = openSync(join(folder, 'output.log'), 'a');
  const child = cgroup.spawn(file, args, {
    cwd: folder,
    stdio: ['ignore', output, output],
    env: {
      ...process.env,
      ...env,
      ...(ownLibrary && { LD_LIBRARY_PATH: copyLibrary(folder, ownLibrary === 'keyless') }),
    },
  });
  t.teardown(() => end(child));
  const log = join(folder, 'access.log');
  const up = await until(() => child.exitCode !== null || accepts(port), { timeoutMs: 15_000 });
  if (!up || child.exitCode !== null) {
    const said = ['output.log', 'error.log']
      .map((name) => join(folder, name))
      .filter((path) => existsSync(path));
    throw new Error(
      `start ${file}: it does not accept: ${said.map((path) => readFileSync(path, 'utf8')).join('')}`,
    );
  }
  let offset = 0;
  return {
    cgroup,
    port,
    pid: child.pid ?? 0,
    folder,
    accessLog: (atLeast = 0) => readAccessLog(log, { offset, atLeast }),
    mark() {
      offset = statSync(log, { throwIfNoEntry: false })?.size ?? 0;
    },
  };
}

/** Copies the machine's libssl into a folder below; returns that folder. */
function copyLibrary(folder: string, keyless: boolean): string {
  const libraries = join(folder, 'lib');
  mkdirSync(libraries);
  const cache = execFileSync('ldconfig', ['-p'], { encoding: 'utf8' });
  const libssl = /libssl\.so\.3 .* => (\/\S+)/.exec(cache)?.[1];
  if (!libssl) throw new Error('copy libssl: ldconfig knows no libssl.so.3');
  const copy = join(libraries, 'libssl.so.3');
  copyFileSync(libssl, copy);
  if (keyless) spoilLabel(copy);
  return libraries;
}

/** Its server works as before: the label is only what a key log would say. */
function spoilLabel(library: string): void {
  const bytes = readFileSync(library);
  const label = Buffer.from('\0CLIENT_RANDOM\0');
  const at = bytes.indexOf(label);
  if (at < 0 || bytes.indexOf(label, at + 1) >= 0)
    throw new Error(`spoil ${library}: the label is not once in it`);
  bytes.write('X', at + 1);
  writeFileSync(library, bytes);
}

function openHelper(t: ExecutionContext, [file, ...args]: readonly [string, ...string[]]): void {
  const child = spawn(file, args, { stdio: 'ignore' });
  const forget = killAtExit(child.pid);
  t.teardown(async () => {
    await end(child);
    forget();
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
