/** Runs the load client and reads its counts. */
import { spawn } from 'node:child_process';
import { killAtExit } from '../harness/last-resort.ts';
import { buildPrograms } from './programs.ts';

export interface LoadOptions {
  port: number;
  /** Begins every id. */
  prefix: string;
  /** In all; 0: until `stop`. */
  requests: number;
  /** Open at a time. */
  connections?: number;
  /** Requests of a connection. */
  per?: number;
  /** Of each connection, before `held` resolves; the others come after `release`. */
  hold?: number;
  /** Requests per second at most. */
  rate?: number;
  /** Bytes of a TCP segment at most. */
  segment?: number;
  /** One body in so many is sent in pieces. */
  slow?: number;
  version?: '1.2' | '1.3' | 'none';
  resume?: boolean;
  /** Close our side of the session with the last request. */
  halfClose?: boolean;
  /** Gets the secrets. */
  keylog?: string;
}

export interface LoadOutcome {
  /** Every one of them with the status, the header and the body that its number calls for. */
  answered: number;
  failed: number;
  /** Sent again on a new connection, since the server closed the old one before it answered. */
  retried: number;
  connections: number;
  resumed: number;
  seconds: number;
  errors: string[];
}

export interface Load {
  pid: number;
  /** All connections have sent what comes before `release`. */
  held: Promise<void>;
  release(): void;
  /** Ends after the requests under way. */
  stop(): Promise<LoadOutcome>;
  done: Promise<LoadOutcome>;
}

export async function startLoad({ port, halfClose, resume, ...options }: LoadOptions): Promise<Load> {
  const { client } = await buildPrograms();
  const values = Object.entries(options).map(([name, value]) => `-${name}=${value}`);
  if (resume) values.push('-resume');
  if (halfClose) values.push('-half-close');
  const child = spawn(client, [`-address=127.0.0.1:${port}`, ...values], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const forget = killAtExit(child.pid);
  let output = '';
  const { promise: held, resolve: holds } = Promise.withResolvers<void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (output.startsWith('held\n')) holds();
  });
  const done = new Promise<LoadOutcome>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      forget();
      if (code === 0) resolve(JSON.parse(output.replace(/^held\n/, '')) as LoadOutcome);
      else reject(new Error(`run the load client: ended with ${code}`));
    });
  });
  // Whoever does not wait for its end does not want to hear of it either.
  done.catch(() => {});
  return {
    pid: child.pid ?? 0,
    held,
    release: () => void child.stdin.write('go\n'),
    stop() {
      child.kill('SIGTERM');
      return done;
    },
    done,
  };
}

export async function runLoad(options: LoadOptions): Promise<LoadOutcome> {
  return (await startLoad(options)).done;
}
