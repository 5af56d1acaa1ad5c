/** What the client, nginx's log and the capture each know of a request, as comparable facts. */
import { createHash } from 'node:crypto';
import type { AccessLine } from './access-log.ts';
import type { Sent } from './client.ts';
import type { Fact } from './compare.ts';
import type { CapturedExchange, CapturedHeader } from './exchanges.ts';
import { bodyContent, type HeaderPair } from './request.ts';

/** The capture's default `maxBodyBytes`. */
const BODY_CAP = 65_536;

export function factOfSent({ request, response, bodySent }: Sent): Fact {
  const body = bodyContent(request.body);
  const { id, method, target } = request;
  return {
    id,
    method,
    target,
    status: response.status,
    bodyLength: bodySent ? body.length : null,
    responseLength: method === 'HEAD' ? null : response.declaredLength,
    headers: headerLines(request.headers),
    trailers: request.body.framing === 'chunked' ? headerLines(request.body.trailers) : '',
    bodyDigest: bodySent ? digest(body.subarray(0, BODY_CAP)) : null,
  };
}

export function factsOfLog(access: readonly AccessLine[], upstream: readonly AccessLine[]): Fact[] {
  const read = new Map(upstream.map((line) => [line.id, line.contentLength ?? 0]));
  return access.map((line) => ({
    id: line.id,
    method: line.method,
    target: line.target,
    status: line.status,
    bodyLength: read.get(line.id) ?? unreadLength(line),
    responseLength: responseLength(line),
    headers: null,
    trailers: null,
    bodyDigest: null,
  }));
}

export function factOfExchange({ request, response }: CapturedExchange): Fact {
  const method = request.method.toString('latin1');
  const noBody = method === 'HEAD' || response?.status === 304;
  return {
    id: headerValue(request.headers, 'x-id') ?? '',
    method,
    target: request.target.toString('latin1'),
    status: response?.status ?? 0,
    bodyLength: request.bodyLength ?? null,
    responseLength: noBody ? null : (response?.contentLength ?? null),
    headers: headerText(request.headers),
    trailers: headerText(request.trailers),
    bodyDigest: digest(request.body),
  };
}

/**
 * The upstream's log tells how long a body truly was, for nginx hands it over with its length.
 * Elsewhere the declared length is the true one, unless nginx answered before the body (413).
 */
function unreadLength({ status, contentLength, transferEncoding }: AccessLine): number | null {
  if (status === 413 || transferEncoding !== '') return null;
  return contentLength ?? 0;
}

/** nginx counts the 25 bytes of "100 Continue" as body; so does what passes after 101. */
function responseLength({ method, status, expect, bodyBytesSent }: AccessLine): number | null {
  return method === 'HEAD' || status === 101 || expect !== '' ? null : bodyBytesSent;
}

export function headerValue(headers: readonly CapturedHeader[], name: string): string | undefined {
  return headers
    .map(textPair)
    .find(([other]) => other.toLowerCase() === name)?.[1]
    .trim();
}

/** "Name: value", a line each. */
export function headerText(headers: readonly CapturedHeader[]): string {
  return headerLines(headers.map(textPair));
}

function textPair({ name, value }: CapturedHeader): HeaderPair {
  return [name.toString('latin1'), value.toString('latin1')];
}

/** White space around a value is no part of it (RFC 9110 5.5). */
function headerLines(headers: readonly HeaderPair[]): string {
  return headers.map(([name, value]) => `${name}: ${value.replace(/^[ \t]+|[ \t]+$/g, '')}`).join('\n');
}

function digest(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('hex');
}
