/** Pulls exchanges out of a capture and decodes them, in the place of an agent and a processor. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import type { Batch } from '../../bpf/index.d.ts';

export interface CapturedHeader {
  name: Buffer;
  value: Buffer;
}

export interface CapturedTls {
  version: string;
  cipherSuite: string;
  serverName?: string;
  alpn?: string;
  boundBy: string;
}

/** `Exchange` of processor/exchange.proto; absent facts are undefined, an absent response is null. */
export interface CapturedExchange {
  target: number;
  connection: {
    clientAddress: Buffer;
    clientPort: number;
    serverAddress: Buffer;
    serverPort: number;
    flowId: string;
    /** Null: plaintext. */
    tls: CapturedTls | null;
  };
  protocol: 'HTTP1' | 'HTTP2';
  request: {
    method: Buffer;
    target: Buffer;
    version: string;
    headers: CapturedHeader[];
    body: Buffer;
    bodyLength?: number;
    bodyTruncated: boolean;
    trailers: CapturedHeader[];
    headLength: number;
  };
  response: { status: number; version: string; contentType?: string; contentLength?: number } | null;
  pairing: 'PAIRING_UNSPECIFIED' | 'ORDER' | 'ACKNOWLEDGEMENT' | 'CALL';
  gap: boolean;
  joinedLate: boolean;
  sequence: number;
  conflicting: boolean;
  /** Name of the target's identity, resolved from the batch. */
  identity: string;
}

interface DecodedBatch {
  targets: { name: string }[];
  exchanges: CapturedExchange[];
}

/** The part of `Capture` that is needed here. */
export interface Source {
  nextBatch(maxWaitMs: number): Promise<Batch | null>;
  settle(batchId: string, outcome: 'delivered'): boolean;
}

export interface Collector {
  /** Grows while exchanges arrive. */
  exchanges: CapturedExchange[];
  /** Waits until nothing has come for `quietMs`, then ends the loop; `nextBatch` is free again. */
  finish(quietMs?: number): Promise<CapturedExchange[]>;
}

const PROTO = fileURLToPath(new URL('../../processor/exchange.proto', import.meta.url));
const POLL_MS = 50;

let batchType: protobuf.Type | undefined;

export function decodeBatch(bytes: Uint8Array): CapturedExchange[] {
  batchType ??= protobuf.loadSync(PROTO).lookupType('podmirror.v1.ExchangeBatch');
  // Defaults fill plain fields; `optional` ones stay undefined, messages null. flow_id needs all of its 64 bits.
  const plain = batchType.toObject(batchType.decode(bytes), { longs: String, enums: String, defaults: true });
  const { targets, exchanges } = plain as DecodedBatch;
  for (const exchange of exchanges) {
    const { request, response } = exchange;
    exchange.identity = targets[exchange.target]?.name ?? '';
    if (request.bodyLength !== undefined) request.bodyLength = Number(request.bodyLength);
    if (response?.contentLength !== undefined) response.contentLength = Number(response.contentLength);
  }
  return exchanges;
}

/** Begins at once to take batches; each is settled as delivered. `take`: instead of keeping them all. */
export function collectExchanges(capture: Source, take?: (exchange: CapturedExchange) => void): Collector {
  const exchanges: CapturedExchange[] = [];
  const keep = take ?? ((exchange: CapturedExchange) => void exchanges.push(exchange));
  let running = true;
  let lastAt = performance.now();
  const loop = (async () => {
    while (running) {
      const batch = await capture.nextBatch(POLL_MS);
      if (!batch) continue;
      for (const exchange of decodeBatch(batch.bytes)) keep(exchange);
      capture.settle(batch.id, 'delivered');
      lastAt = performance.now();
    }
  })();
  return {
    exchanges,
    async finish(quietMs = 1000) {
      lastAt = performance.now();
      while (performance.now() - lastAt < quietMs) await Promise.race([loop, sleep(POLL_MS)]);
      running = false;
      await loop;
      return exchanges;
    },
  };
}
