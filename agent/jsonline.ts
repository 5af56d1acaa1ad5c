// One exchange as one line of JSON, for people and jq. Absent stays absent: "was empty" and "was not seen" differ.
import { isUtf8 } from 'node:buffer';
import { isIPv6, SocketAddress } from 'node:net';

export interface WireHeader {
  name: Uint8Array;
  value: Uint8Array;
}

/** `Exchange` of processor/exchange.proto as protobufjs decodes it: 64-bit numbers as decimal text, absent as undefined. */
export interface WireExchange {
  target?: number;
  connection?: {
    clientAddress?: Uint8Array;
    clientPort?: number;
    serverAddress?: Uint8Array;
    serverPort?: number;
    flowId?: string;
    tls?: Record<string, unknown>;
  };
  protocol?: string;
  streamId?: number;
  request?: {
    method?: Uint8Array;
    target?: Uint8Array;
    version?: string;
    headers?: WireHeader[];
    body?: Uint8Array;
    bodyLength?: string;
    bodyTruncated?: boolean;
    trailers?: WireHeader[];
    headLength?: number;
  };
  response?: {
    status?: number;
    version?: string;
    headers?: WireHeader[];
    contentType?: string;
    contentLength?: string;
  };
  timing?: { requestStartNs?: string; requestDurationNs?: string; responseDelayNs?: string };
  pairing?: string;
  gap?: boolean;
  joinedLate?: boolean;
  sequence?: number;
  conflicting?: boolean;
}

export interface WireBatch {
  node?: string;
  targets?: Record<string, unknown>[];
  exchanges?: WireExchange[];
}

type Text = string | { base64: string };

/** All exchanges of a batch, one line each, the last one ended too. */
export function jsonLines(batch: WireBatch): string {
  return (batch.exchanges ?? []).map((exchange) => `${JSON.stringify(readable(exchange, batch))}\n`).join('');
}

function readable(exchange: WireExchange, { node, targets = [] }: WireBatch): object {
  const { connection = {}, request, response, timing = {} } = exchange;
  return {
    time: isoTime(timing.requestStartNs),
    requestDurationMs: milliseconds(timing.requestDurationNs),
    responseDelayMs: milliseconds(timing.responseDelayNs),
    node,
    workload: targets[exchange.target ?? 0],
    client: endpoint(connection.clientAddress, connection.clientPort),
    server: endpoint(connection.serverAddress, connection.serverPort),
    flow: connection.flowId,
    sequence: exchange.sequence ?? 0,
    tls: connection.tls,
    protocol: exchange.protocol,
    stream: exchange.streamId,
    request: request && {
      method: textOf(request.method),
      target: textOf(request.target),
      version: request.version,
      headers: headerPairs(request.headers),
      body: textOf(request.body),
      bodyLength: integer(request.bodyLength),
      trailers: request.trailers?.length ? headerPairs(request.trailers) : undefined,
      headLength: request.headLength,
    },
    response: response && {
      status: response.status,
      version: response.version,
      headers: headerPairs(response.headers),
      contentType: response.contentType,
      contentLength: integer(response.contentLength),
    },
    pairing: exchange.pairing,
    flags: flagsOf(exchange),
  };
}

/** What is not whole about an exchange, by the names of the wire contract. */
function flagsOf({ gap, joinedLate, conflicting, request }: WireExchange): string[] {
  const flags = { gap, joined_late: joinedLate, conflicting, body_truncated: request?.bodyTruncated };
  return Object.entries(flags).flatMap(([name, set]) => (set ? [name] : []));
}

/** Valid UTF-8 as it is, anything else as base64. */
export function textOf(bytes: Uint8Array | undefined): Text {
  const buffer = Buffer.from(bytes ?? []);
  return isUtf8(buffer) ? buffer.toString('utf8') : { base64: buffer.toString('base64') };
}

function headerPairs(headers: readonly WireHeader[] = []): [Text, Text][] {
  return headers.map(({ name, value }) => [textOf(name), textOf(value)]);
}

/** Nanoseconds since the epoch → ISO 8601 with microseconds, which a Date cannot hold. */
export function isoTime(ns: string | undefined): string | undefined {
  if (ns === undefined) return undefined;
  const micros = BigInt(ns) / 1000n;
  const seconds = new Date(Number(micros / 1_000_000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(micros % 1_000_000n).padStart(6, '0')}Z`;
}

function milliseconds(ns: string | undefined): number | undefined {
  return ns === undefined ? undefined : Math.round(Number(ns) / 1000) / 1000;
}

/** Lengths up to 2^53 are numbers; what claims to be longer stays text. */
function integer(decimal: string | undefined): number | string | undefined {
  if (decimal === undefined) return undefined;
  return Number.isSafeInteger(Number(decimal)) ? Number(decimal) : decimal;
}

/** `10.0.0.1:80`, `[2001:db8::1]:80`; IPv4-mapped IPv6 as IPv4 (RFC 4291 §2.5.5.2). */
export function endpoint(address: Uint8Array | undefined, port = 0): string | undefined {
  const text = addressText(address ?? new Uint8Array());
  if (text === undefined) return undefined;
  return isIPv6(text) ? `[${text}]:${port}` : `${text}:${port}`;
}

const mappedPrefix = '00000000000000000000ffff';

function addressText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return undefined;
  const hex = Buffer.from(bytes).toString('hex');
  if (hex.startsWith(mappedPrefix)) return bytes.subarray(12).join('.');
  const address = (hex.match(/.{4}/g) ?? []).join(':');
  return new SocketAddress({ address, family: 'ipv6' }).address;
}
