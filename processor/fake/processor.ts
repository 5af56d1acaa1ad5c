// A real processor in a process and a folder of its own, for tests.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createAuthority, type Issued, issueLeaf } from '../../certs/authority.ts';

export const token = 'a-token-for-the-tests';

export interface FakeSite {
  folder: string;
  authority: Issued;
  client: Issued;
  configFile: string;
  remove(): void;
}

/** Certificates and configuration. `over` replaces whole sections. */
export function makeSite(over: Record<string, unknown> = {}, storeFolder?: string): FakeSite {
  const folder = mkdtempSync(join(tmpdir(), 'podmirror-processor-'));
  const authority = createAuthority({ commonName: 'test CA', days: 1 });
  const server = issueLeaf(authority, {
    commonName: 'processor',
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
    days: 1,
  });
  const client = issueLeaf(authority, { commonName: 'podmirror-agent', usages: ['client'], days: 1 });
  const files = { caFile: authority.cert, certFile: server.cert, keyFile: server.key };
  const paths = Object.fromEntries(Object.keys(files).map((key) => [key, join(folder, `${key}.pem`)]));
  for (const [key, pem] of Object.entries(files)) writeFileSync(join(folder, `${key}.pem`), pem);
  const config = {
    ingest: { port: 0, ...paths, agents: ['podmirror-agent'] },
    api: { port: 0, token },
    ops: { port: 0 },
    store: { file: join(storeFolder ?? folder, 'processor.db') },
    inspection: { crsFolder: crsFolder(), workers: 1 },
    ...over,
  };
  const configFile = join(folder, 'processor.yaml');
  writeFileSync(configFile, stringify(config));
  return {
    folder,
    authority,
    client,
    configFile,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export function crsFolder(): string {
  return execFileSync(join(import.meta.dirname, '../rules/crs.sh'), { encoding: 'utf8' }).trim();
}

export interface FakeProcessor {
  child: ChildProcess;
  ingestPort: number;
  api(path: string): Promise<unknown>;
  ops(path: string): Promise<{ status: number; text: string }>;
  log(): string;
  /** Resolves when it is gone. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** Rejects with what it printed when it ends before it listens. */
export function startProcessor(
  { configFile }: Pick<FakeSite, 'configFile'>,
  env: Record<string, string> = {},
): Promise<FakeProcessor> {
  const main = join(import.meta.dirname, '../main.ts');
  const child = spawn(process.execPath, [main, '--config', configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const { promise, resolve, reject } = Promise.withResolvers<FakeProcessor>();
  const gone = new Promise<number | null>((done) => child.once('close', done));
  // A test that fails must not leave it behind.
  children.add(child);
  void gone.then(() => children.delete(child));
  let output = '';
  const read = (chunk: Buffer) => {
    output += chunk;
    const ports = Object.fromEntries(
      [...output.matchAll(/(ingest|api|ops) listens on 127\.0\.0\.1:(\d+)/g)].map(([, name, port]) => [
        name,
        Number(port),
      ]),
    );
    if (ports.ingest && ports.api && ports.ops) {
      resolve({
        child,
        ingestPort: ports.ingest,
        api: async (path) =>
          (
            await fetch(`http://127.0.0.1:${ports.api}${path}`, {
              headers: { authorization: `Bearer ${token}` },
            })
          ).json(),
        ops: async (path) => {
          const response = await fetch(`http://127.0.0.1:${ports.ops}${path}`);
          return { status: response.status, text: await response.text() };
        },
        log: () => output,
        end: (signal) => {
          child.kill(signal);
          return gone;
        },
      });
    }
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  void gone.then((code) => reject(new Error(`ended with ${code}: ${output}`)));
  return promise;
}

export interface PostAnswer {
  status: number;
  retryAfter: string | undefined;
  text: string;
}

/** POST as an agent, to /v1/exchanges unless told otherwise; without `client`, as nobody. Rejects with the error of the connection. */
export function post(
  site: Pick<FakeSite, 'authority'> & { client?: Issued },
  { ingestPort }: Pick<FakeProcessor, 'ingestPort'>,
  body: Buffer,
  type = 'application/x-protobuf',
  path = '/v1/exchanges',
): Promise<PostAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<PostAnswer>();
  const agent = new Agent({ ca: site.authority.cert, ...site.client });
  const call = request(
    {
      host: '127.0.0.1',
      port: ingestPort,
      path,
      method: 'POST',
      agent,
      headers: { 'content-type': type },
    },
    (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'], text }),
      );
    },
  );
  call.on('error', reject);
  call.end(body);
  return promise.finally(() => agent.destroy());
}

/** Asks again until `isDone`, at most 20 s. */
export async function eventually<T>(ask: () => Promise<T>, isDone: (value: T) => boolean): Promise<T> {
  for (let round = 0; ; round++) {
    const value = await ask();
    if (isDone(value)) return value;
    if (round > 200) throw new Error(`never came true; last: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
