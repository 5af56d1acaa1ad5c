/** A real nginx with a prefix, files, ports and logs of its own, in a cgroup when one is given. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AccessLine, readAccessLog } from './access-log.ts';
import type { Cgroup } from './cgroup.ts';
import { freePort } from './free-port.ts';
import { atExit } from './last-resort.ts';
import { nginxConf } from './nginx-conf.ts';
import { until } from './until.ts';
import { startUpgradeUpstream } from './upgrade-upstream.ts';

export interface Nginx {
  port: number;
  /** With `tls`. */
  tlsPort: number | null;
  prefix: string;
  pid: number;
  workerPids(): number[];
  /** Lines so far; waits until there are `atLeast` of them, for a line is written after its response. */
  accessLog(atLeast?: number): Promise<AccessLine[]>;
  /** Requests logged so far, with `log: 'marks'`; a second after the last one all are there. */
  markCount(): number;
  upstreamLog(): AccessLine[];
  errorLog(): string;
  /** Ends nginx and deletes its directory. */
  stop(): Promise<void>;
}

export interface NginxOptions {
  cgroup?: Cgroup;
  workers?: number;
  log?: 'lines' | 'marks';
  /** Core for nginx alone. */
  core?: number;
  /** PEM files for a port with TLS beside the plain one. */
  tls?: { certificate: string; key: string };
}

export async function startNginx({
  cgroup,
  workers = 1,
  log = 'lines',
  core,
  tls,
}: NginxOptions = {}): Promise<Nginx> {
  const prefix = mkdtempSync(join(tmpdir(), 'podmirror-nginx-'));
  const forget = atExit(() => rmSync(prefix, { recursive: true, force: true }));
  const port = await freePort();
  const tlsPort = tls ? await freePort() : null;
  writeFiles(prefix);
  const withTls = tls && tlsPort !== null ? { tls: { ...tls, port: tlsPort } } : {};
  writeFileSync(join(prefix, 'nginx.conf'), nginxConf({ prefix, port, workers, log, ...withTls }));
  const upgrade = await startUpgradeUpstream(join(prefix, 'upgrade.sock'));

  const nginx = ['nginx', '-p', prefix, '-c', join(prefix, 'nginx.conf'), '-e', join(prefix, 'error.log')];
  const [command = 'nginx', ...args] = core === undefined ? nginx : ['taskset', '-c', String(core), ...nginx];
  const options = { stdio: 'ignore' } as const;
  const child = cgroup ? cgroup.spawn(command, args, options) : spawn(command, args, options);
  const started = new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(new Error('start nginx: install nginx-light', { cause })));
  });

  const accessLogPath = join(prefix, 'access.log');
  const errorLog = () => readFileSync(join(prefix, 'error.log'), 'utf8');
  const stop = async () => {
    await end(child);
    await upgrade.close();
    rmSync(prefix, { recursive: true, force: true });
    forget();
  };
  try {
    await started;
    const up = await until(() => hasEnded(child) || accepts(port));
    if (!up || hasEnded(child)) throw new Error(`start nginx: it does not accept: ${errorLog()}`);
    // The master listens before its workers are there.
    const working = await until(() => childrenOf(child.pid ?? 0).length >= workers);
    if (!working) throw new Error(`start nginx: it has no ${workers} workers: ${errorLog()}`);
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    port,
    tlsPort,
    prefix,
    pid: child.pid ?? 0,
    workerPids: () => (workers === 0 ? [child.pid ?? 0] : childrenOf(child.pid ?? 0)),
    async accessLog(atLeast = 0) {
      await until(() => readAccessLog(accessLogPath).length >= atLeast, { everyMs: 100 });
      return readAccessLog(accessLogPath);
    },
    markCount: () => statSync(accessLogPath).size,
    upstreamLog: () => readAccessLog(join(prefix, 'upstream.log')),
    errorLog,
    stop,
  };
}

function writeFiles(prefix: string): void {
  const files = join(prefix, 'files');
  mkdirSync(files);
  writeFileSync(join(files, 'index.html'), '<title>nginx</title>\n');
  writeFileSync(join(files, '1k.txt'), 'one kibibyte of text.\n'.repeat(50).slice(0, 1024));
  writeFileSync(join(files, '64k.bin'), Buffer.alloc(64 << 10, 'sixty-four kibibytes\n'));
  writeFileSync(
    join(files, '1m.bin'),
    Buffer.alloc(1 << 20, 'GET / HTTP/1.1\r\nHost: not a request\r\n\r\n'),
  );
  writeFileSync(join(files, '10m.bin'), Buffer.alloc(10 << 20, 'HTTP/1.1 200 OK\r\n\r\nnot a response\n'));
}

async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  // TERM is nginx's fast shutdown; KILL would leave its workers behind.
  child.kill('SIGTERM');
  await ended;
}

function hasEnded({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid === undefined || exitCode !== null || signalCode !== null;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}
