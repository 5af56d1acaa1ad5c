// ExchangeBatch (exchange.proto) in TypeScript.
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';

/** Texts marked latin1 hold one character per byte as sent, so an index in them counts bytes. */
export type Latin1 = string;

export interface Batch {
  /** 16 bytes. */
  id: Uint8Array;
  node: string;
  targets: Identity[];
  exchanges: Exchange[];
}

export interface Identity {
  cgroup: string;
  name: string;
  namespace?: string;
  pod?: string;
  podUid?: string;
  container?: string;
  workload?: string;
}

export interface Tls {
  /** "TLSv1.3"; empty when it was not seen, as in all of these. */
  version: string;
  cipherSuite: string;
  serverName?: string;
  alpn?: string;
  /** How the bytes were bound to the connection: "aead" (each record verified) or "call". */
  boundBy: string;
}

export interface Header {
  name: Latin1;
  value: Latin1;
}

export interface Exchange {
  target: Identity;
  connection: {
    /** IP addresses as text. */
    clientAddress: string;
    clientPort: number;
    serverAddress: string;
    serverPort: number;
    /** Absent: plaintext. */
    tls?: Tls;
  };
  request: {
    method: Latin1;
    target: Latin1;
    /** "HTTP/1.1". */
    version: string;
    headers: Header[];
    body: Latin1;
    /** Absent: the body's end was not seen. */
    bodyLength?: number;
    bodyTruncated: boolean;
  };
  /** Absent: no response was seen. */
  response?: { status: number; headers: Header[] };
  /** Unix time in milliseconds. */
  startMs: number;
  gap: boolean;
  joinedLate: boolean;
}

/** The sender's mistake; its message is for the answer. */
export class BadBatch extends Error {}

const schema = protobuf.parse(readFileSync(new URL('exchange.proto', import.meta.url), 'utf8')).root;
/** Reflection on exchange.proto, also for those who need to encode one. */
export const batchType = schema.lookupType('podmirror.v1.ExchangeBatch');

type Long = number | { toString(): string };

// What protobufjs makes: absent fields read as their default from the prototype, `optional` ones as null.
interface WireHeader {
  name: Uint8Array;
  value: Uint8Array;
}

interface WireExchange {
  target: number;
  connection?: {
    clientAddress: Uint8Array;
    clientPort: number;
    serverAddress: Uint8Array;
    serverPort: number;
    tls?: { [Key in keyof Tls]: string | null } | null;
  } | null;
  request?: {
    method: Uint8Array;
    target: Uint8Array;
    version: string;
    headers: WireHeader[];
    body: Uint8Array;
    bodyLength?: Long | null;
    bodyTruncated: boolean;
  } | null;
  response?: { status: number; headers: WireHeader[] } | null;
  timing?: { requestStartNs: Long } | null;
  gap: boolean;
  joinedLate: boolean;
}

interface WireBatch {
  id: Uint8Array;
  node: string;
  targets: Record<keyof Identity, string | null>[];
  exchanges: WireExchange[];
}

const idBytes = 16;

/** Throws BadBatch for bytes that are no batch, or one that contradicts itself. */
export function decodeBatch(bytes: Uint8Array): Batch {
  let wire: WireBatch;
  try {
    wire = batchType.decode(bytes) as unknown as WireBatch;
  } catch (cause) {
    throw new BadBatch(`not an ExchangeBatch: ${(cause as Error).message}`, { cause });
  }
  if (wire.id.length !== idBytes)
    throw new BadBatch(`id has ${wire.id.length} bytes. Write ${idBytes} random bytes`);
  const targets = wire.targets.map(identity);
  const exchanges = wire.exchanges.map((exchange, index) => {
    const target = targets[exchange.target];
    if (!target) {
      throw new BadBatch(
        `exchanges[${index}].target is ${exchange.target}, but there are ${targets.length} targets`,
      );
    }
    return decodeExchange(exchange, target, `exchanges[${index}]`);
  });
  return { id: wire.id, node: wire.node, targets, exchanges };
}

function decodeExchange(wire: WireExchange, target: Identity, where: string): Exchange {
  const { connection, request, response } = wire;
  if (!connection) throw new BadBatch(`${where}.connection is missing`);
  if (!request) throw new BadBatch(`${where}.request is missing`);
  return {
    target,
    connection: {
      clientAddress: addressText(connection.clientAddress, `${where}.connection.client_address`),
      clientPort: port(connection.clientPort, `${where}.connection.client_port`),
      serverAddress: addressText(connection.serverAddress, `${where}.connection.server_address`),
      serverPort: port(connection.serverPort, `${where}.connection.server_port`),
      ...(connection.tls && { tls: tlsOf(connection.tls) }),
    },
    request: {
      method: latin1(request.method),
      target: latin1(request.target),
      version: request.version,
      headers: request.headers.map(header),
      body: latin1(request.body),
      ...(request.bodyLength != null && { bodyLength: Number(request.bodyLength) }),
      bodyTruncated: request.bodyTruncated,
    },
    ...(response && { response: { status: response.status, headers: response.headers.map(header) } }),
    startMs: wire.timing ? Number(BigInt(String(wire.timing.requestStartNs)) / 1_000_000n) : 0,
    gap: wire.gap,
    joinedLate: wire.joinedLate,
  };
}

function tlsOf(wire: { [Key in keyof Tls]: string | null }): Tls {
  return {
    version: wire.version ?? '',
    cipherSuite: wire.cipherSuite ?? '',
    ...(wire.serverName != null && { serverName: wire.serverName }),
    ...(wire.alpn != null && { alpn: wire.alpn }),
    boundBy: wire.boundBy ?? '',
  };
}

function identity(wire: Record<keyof Identity, string | null>): Identity {
  const optional = (['namespace', 'pod', 'podUid', 'container', 'workload'] as const).flatMap((key) =>
    wire[key] ? [[key, wire[key]] as const] : [],
  );
  return { cgroup: wire.cgroup ?? '', name: wire.name ?? '', ...Object.fromEntries(optional) };
}

const header = ({ name, value }: WireHeader): Header => ({ name: latin1(name), value: latin1(value) });

function latin1(bytes: Uint8Array): Latin1 {
  // An absent field reads as an empty array, not as bytes.
  if (bytes.length === 0) return '';
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function port(number: number, where: string): number {
  if (number > 65_535) throw new BadBatch(`${where} is ${number}. Write at most 65535`);
  return number;
}

/** 4 bytes: dotted; 16 bytes: eight groups, IPv4-mapped ones dotted (RFC 4291 §2.5.5.2). */
export function addressText(bytes: Uint8Array, where: string): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) throw new BadBatch(`${where} has ${bytes.length} bytes. Write 4 or 16`);
  const groups = Array.from(
    { length: 8 },
    (_, index) => ((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0),
  );
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (mapped) return bytes.slice(12).join('.');
  const text = groups.map((group) => group.toString(16)).join(':');
  // The longest run of zero groups becomes "::" (RFC 5952 §4.2).
  const longest = (text.match(/(?:^|(?<=:))0(?::0)+(?=:|$)/g) ?? []).sort((a, b) => b.length - a.length)[0];
  return longest ? text.replace(new RegExp(`(^|:)${longest}(:|$)`), '::') : text;
}
