/** In the place of a processor: takes everything over mTLS at next to no cost, and counts exchanges later. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { decodeBatch } from '../harness/exchanges.ts';

export interface Sink {
  port: number;
  /** Exchanges received since the last call; decoded only now, outside of what is measured. */
  takeCount(): number;
  /** From now on keep batches to be counted, or throw them away. */
  keep(on: boolean): void;
  close(): Promise<void>;
}

export async function startSink(certificates: string): Promise<Sink> {
  const file = (name: string) => readFileSync(join(certificates, name));
  let kept: Buffer[] = [];
  let keeping = false;
  const server = createServer(
    {
      ca: file('ca.crt'),
      cert: file('processor.crt'),
      key: file('processor.key'),
      requestCert: true,
      minVersion: 'TLSv1.3',
    },
    (request, response) => {
      const chunks: Buffer[] = [];
      // Coverage comes too, and is not counted.
      const isBatch = request.url === '/v1/exchanges';
      request.on('data', (chunk: Buffer) => void (keeping && chunks.push(chunk)));
      request.on('end', () => {
        if (keeping && isBatch) kept.push(Buffer.concat(chunks));
        response.writeHead(200, { 'content-length': 0 }).end();
      });
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new Error('start sink: the listener has no port');
  return {
    port: address.port,
    keep: (on) => {
      keeping = on;
    },
    takeCount() {
      const count = kept.reduce((sum, bytes) => sum + decodeBatch(bytes).length, 0);
      kept = [];
      return count;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
