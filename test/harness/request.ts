/** A request as it is planned, and the bytes that say it. */
import { Buffer } from 'node:buffer';

export type HeaderPair = readonly [name: string, value: string];

export type PlannedBody =
  | { framing: 'none' }
  | { framing: 'length'; bytes: Buffer }
  | { framing: 'chunked'; chunks: readonly Buffer[]; extension: string; trailers: readonly HeaderPair[] };

export interface PlannedRequest {
  id: string;
  /** What the mix calls it; shown in a difference. */
  kind: string;
  method: string;
  target: string;
  version: 'HTTP/1.1' | 'HTTP/1.0';
  /** In order, with the framing headers; X-Id among them. */
  headers: readonly HeaderPair[];
  body: PlannedBody;
  /** CRLF unless a client is sloppy. */
  lineEnd: '\r\n' | '\n';
  /** Written before the request line; servers skip an empty line there (RFC 9112 2.2). */
  before: '' | '\r\n';
  /** Wait for 100 before the body, or ask and go on; null: do not ask. A final status instead of 100 keeps the body back. */
  expect: 'wait' | 'go-on' | null;
}

export interface EncodedRequest {
  head: Buffer;
  body: Buffer;
}

/** Header values are latin1: bytes above 0x7f travel as they are. */
export function encodeRequest(request: PlannedRequest): EncodedRequest {
  const { before, method, target, version, lineEnd } = request;
  const lines = [
    `${method} ${target} ${version}`,
    ...request.headers.map(([name, value]) => `${name}: ${value}`),
  ];
  const head = Buffer.from(`${before}${lines.join(lineEnd)}${lineEnd}${lineEnd}`, 'latin1');
  return { head, body: encodeBody(request.body) };
}

/** The body as the server's application gets it. */
export function bodyContent(body: PlannedBody): Buffer {
  if (body.framing === 'none') return Buffer.alloc(0);
  return body.framing === 'length' ? body.bytes : Buffer.concat(body.chunks);
}

export function framingHeaders(body: PlannedBody): HeaderPair[] {
  if (body.framing === 'none') return [];
  return body.framing === 'length'
    ? [['Content-Length', String(body.bytes.length)]]
    : [['Transfer-Encoding', 'chunked']];
}

function encodeBody(body: PlannedBody): Buffer {
  if (body.framing !== 'chunked') return bodyContent(body);
  const parts: Buffer[] = [];
  for (const chunk of body.chunks) {
    parts.push(Buffer.from(`${chunk.length.toString(16)}${body.extension}\r\n`), chunk, Buffer.from('\r\n'));
  }
  const trailers = body.trailers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  parts.push(Buffer.from(`0\r\n${trailers}\r\n`, 'latin1'));
  return Buffer.concat(parts);
}
