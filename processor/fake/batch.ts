// Encoded batches for tests.
import { randomBytes } from 'node:crypto';
import { batchType, type Tls } from '../exchange.ts';

export interface SampleRequest {
  method?: string;
  target?: string;
  headers?: [string, string][];
  body?: string;
  status?: number;
  tls?: Tls;
}

const bytes = (latin1: string) => Buffer.from(latin1, 'latin1');
const pair = ([name, value]: [string, string]) => ({ name: bytes(name), value: bytes(value) });

/** What Firefox sends. */
export const browserHeaders: [string, string][] = [
  ['Host', 'shop.example'],
  ['User-Agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'],
  ['Accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'],
  ['Accept-Language', 'en-US,en;q=0.5'],
  ['Accept-Encoding', 'gzip, deflate, br, zstd'],
  ['Connection', 'keep-alive'],
  ['Cookie', 'session=8c7b2a1d9e; theme=dark'],
];

export function encodeBatch(
  requests: SampleRequest[],
  { id = randomBytes(16), nowMs = Date.now() } = {},
): Buffer {
  const message = {
    id,
    node: 'test',
    agentVersion: '0',
    targets: [{ cgroup: '/system.slice/nginx.service', name: 'nginx' }],
    exchanges: requests.map(
      ({ method = 'GET', target = '/', headers = browserHeaders, body = '', status = 200, tls }) => ({
        target: 0,
        connection: {
          clientAddress: Buffer.from([10, 0, 0, 1]),
          clientPort: 40_000,
          serverAddress: Buffer.from([10, 0, 0, 2]),
          serverPort: 80,
          flowId: 1,
          ...(tls && { tls }),
        },
        protocol: 1,
        request: {
          method: bytes(method),
          target: bytes(target),
          version: 'HTTP/1.1',
          headers: headers.map(pair),
          body: bytes(body),
          bodyLength: body.length,
          headLength: 100,
        },
        response: { status, version: 'HTTP/1.1', contentType: 'text/html' },
        // Six digits of nanoseconds: more than a double holds.
        timing: { requestStartNs: BigInt(nowMs) * 1_000_000n + 123_456n },
      }),
    ),
  };
  return Buffer.from(batchType.encode(batchType.fromObject(longs(message))).finish());
}

/** protobufjs reads 64-bit numbers from text. */
function longs<T>(message: T): T {
  return JSON.parse(
    JSON.stringify(message, (_key, value) => (typeof value === 'bigint' ? String(value) : value)),
    (_key, value) => (value?.type === 'Buffer' ? Buffer.from(value.data) : value),
  );
}
