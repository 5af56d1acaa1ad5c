/** A processor process with a store of its own, and the attacks that it has on record. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from './free-port.ts';
import { type Service, startService } from './service.ts';

export interface RecordedAttack {
  /** The kind, as the processor calls it. */
  type: string;
  method: string;
  /** Of the last hit, as is the method. */
  path: string;
  /** Where in the request the payload was. */
  parameter: string;
  hits: number;
}

export interface Processor extends Service {
  ingestPort: number;
  pageUrl: string;
  token: string;
  attacks(): Promise<RecordedAttack[]>;
}

export interface ProcessorOptions {
  /** Holds ca.crt, processor.crt and processor.key; configuration and store go there too. */
  directory: string;
}

export async function startProcessor({ directory }: ProcessorOptions): Promise<Processor> {
  const [ingestPort, apiPort, opsPort] = [await freePort(), await freePort(), await freePort()];
  const token = randomBytes(16).toString('hex');
  const file = join(directory, 'processor.yaml');
  writeFileSync(
    file,
    stringify({
      ingest: {
        port: ingestPort,
        certFile: join(directory, 'processor.crt'),
        keyFile: join(directory, 'processor.key'),
        caFile: join(directory, 'ca.crt'),
      },
      api: { port: apiPort, token },
      ops: { port: opsPort },
      store: { file: join(directory, 'processor.db') },
    }),
  );
  const pageUrl = `http://127.0.0.1:${apiPort}/`;
  const service = await startService({
    name: 'processor',
    args: ['processor/main.ts', '--config', file],
    // The rules take some seconds to load.
    readyTimeoutMs: 60_000,
    ready: async () => (await fetch(`http://127.0.0.1:${opsPort}/ready`)).ok,
  });
  const attacks = async () => {
    const response = await fetch(new URL('api/attacks', pageUrl), {
      headers: { authorization: `Bearer ${token}` },
    });
    if (!response.ok) throw new Error(`ask the processor for attacks: status ${response.status}`);
    return ((await response.json()) as { attacks: RecordedAttack[] }).attacks;
  };
  return { ...service, ingestPort, pageUrl, token, attacks };
}
