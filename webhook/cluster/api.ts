// A small client of the Kubernetes API: plain requests, bounded in time and size. The generated classes of
// @kubernetes/client-node would cost 85 MiB and parse every field of objects of which we keep a tenth.
import http from 'node:http';
import https from 'node:https';
import { z } from 'zod';
import { ApiError, retryAfterMs, statusError, TimeoutError, TooLargeError } from './api-error.ts';
import { type Connection, keepAliveMs } from './connection.ts';
import { linesOf } from './lines.ts';

export interface Api {
  get(path: string, options?: CallOptions): Promise<unknown>;
  list(path: string, options?: ListOptions): Promise<Page>;
  /** Ends when the server ends it; throws ApiError for an ERROR event, TimeoutError when nothing comes any more. */
  watch(path: string, options: WatchOptions): AsyncGenerator<WatchEvent>;
  create(path: string, body: unknown, options?: CallOptions): Promise<unknown>;
  mergePatch(path: string, body: unknown, options?: WriteOptions): Promise<unknown>;
  replace(path: string, body: unknown, options?: CallOptions): Promise<unknown>;
  remove(path: string, options?: CallOptions): Promise<unknown>;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
}

export interface WriteOptions extends CallOptions {
  /** Only the metadata comes back: for a large object of which a small part was written. */
  metadataOnly?: boolean;
}

export interface ListOptions extends CallOptions {
  limit?: number | undefined;
  continue?: string | undefined;
  fieldSelector?: string | undefined;
}

export interface Page {
  items: unknown[];
  resourceVersion: string;
  continue: string | undefined;
}

export interface WatchOptions {
  resourceVersion: string;
  timeoutSeconds: number;
  fieldSelector?: string | undefined;
  signal: AbortSignal;
  /** How long the server may take to begin. */
  timeoutMs?: number | undefined;
  /** Without a byte for this long, the connection is taken for dead. */
  silenceMs: number;
  /** Bytes came. */
  onContact?: () => void;
}

export interface WatchEvent {
  /** TOO_LARGE: something happened to an object, which was too large to be read. */
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'TOO_LARGE';
  object: unknown;
}

const pageShape = z.object({
  // null is what Go writes for an empty list.
  items: z.array(z.unknown()).nullish(),
  metadata: z.object({ resourceVersion: z.string(), continue: z.string().optional() }),
});
const eventShape = z.object({
  type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']),
  object: z.unknown(),
});

const metadataJson = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';

export function createApi({
  connection,
  fieldManager = 'podmirror-webhook',
  userAgent = 'podmirror-webhook',
  timeoutMs: usualTimeoutMs = 30_000,
  // An object in etcd is at most 1.5 MiB, of which JSON makes six times as much when it is all `<`, written \u003c.
  // 500 usual pods are 2 to 10 MiB; of larger ones the watcher asks for fewer.
  maxAnswerBytes = 16 * 1024 * 1024,
  maxLineBytes = 16 * 1024 * 1024,
}: {
  connection: Connection;
  fieldManager?: string;
  userAgent?: string;
  timeoutMs?: number;
  maxAnswerBytes?: number;
  maxLineBytes?: number;
}): Api {
  const { server } = connection;
  const base = server.pathname.replace(/\/$/, '');
  const { request: begin } = server.protocol === 'https:' ? https : http;

  /** Sends, and gives the answer when its head is there. */
  async function send(call: Call, signal: AbortSignal, fresh = false): Promise<http.IncomingMessage> {
    const { headers, agent } = await connection.credentials(fresh);
    signal.throwIfAborted();
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    const request = begin(
      {
        host: server.hostname.replace(/^\[|\]$/g, ''),
        port: server.port || undefined,
        method: call.method,
        path: base + call.path + queryOf(call.query),
        agent,
        signal,
        headers: {
          host: server.host,
          'user-agent': userAgent,
          accept: call.accept ?? 'application/json',
          ...(body !== undefined && {
            'content-type': call.contentType ?? 'application/json',
            'content-length': Buffer.byteLength(body),
          }),
          ...headers,
        },
      },
      resolve,
    );
    // Stays: an aborted request may report more than once, and an error that nobody hears ends the process.
    request.on('error', reject);
    request.end(body);
    try {
      return await promise;
    } catch (error) {
      // A kept connection that the server closed at this very moment. Every write here may be sent twice.
      const closed = (error as NodeJS.ErrnoException).code === 'ECONNRESET' && request.reusedSocket;
      if (closed && !signal.aborted) return await send(call, signal, fresh);
      throw error;
    }
  }

  async function open(call: Call, signal: AbortSignal): Promise<http.IncomingMessage> {
    const response = await send(call, signal);
    if (response.statusCode !== 401) return response;
    await bytesOf(response, maxAnswerBytes);
    return await send(call, signal, true);
  }

  /** One request with one JSON answer. */
  async function ask(call: Call, { signal, timeoutMs = usualTimeoutMs }: CallOptions = {}): Promise<unknown> {
    const what = nameOf(call);
    const limit = limited(signal, timeoutMs, () => new TimeoutError(`${what}: no answer in ${timeoutMs} ms`));
    try {
      const response = await open(call, limit.signal);
      const body = await bytesOf(response, maxAnswerBytes);
      const { statusCode = 0 } = response;
      if (statusCode < 200 || statusCode > 299) {
        throw statusError(what, statusCode, parsed(body), retryAfterMs(response.headers['retry-after']));
      }
      return JSON.parse(body.toString('utf8'));
    } catch (error) {
      throw named(what, limit.signal.aborted ? limit.signal.reason : error);
    } finally {
      limit.end();
    }
  }

  async function* watch(path: string, options: WatchOptions): AsyncGenerator<WatchEvent> {
    const { resourceVersion, timeoutSeconds, fieldSelector, silenceMs, onContact } = options;
    const query = {
      watch: '1',
      allowWatchBookmarks: 'true',
      resourceVersion,
      timeoutSeconds: String(timeoutSeconds),
      fieldSelector,
    };
    const call: Call = { method: 'GET', path, query };
    const what = `watch ${path}`;
    const silent = () => new TimeoutError(`${what}: not a byte in ${silenceMs} ms`);
    const beginMs = options.timeoutMs ?? usualTimeoutMs;
    const limit = limited(
      options.signal,
      beginMs,
      () => new TimeoutError(`${what}: no answer in ${beginMs} ms`),
    );
    try {
      const response = await open(call, limit.signal);
      if (response.statusCode !== 200) {
        const body = await bytesOf(response, maxAnswerBytes);
        const later = retryAfterMs(response.headers['retry-after']);
        throw statusError(what, response.statusCode ?? 0, parsed(body), later);
      }
      response.socket.setKeepAlive(true, keepAliveMs);
      limit.extend(silenceMs, silent);
      onContact?.();
      response.on('data', () => {
        limit.extend(silenceMs, silent);
        onContact?.();
      });
      for await (const line of linesOf(response, maxLineBytes)) {
        if (line === undefined) {
          yield { type: 'TOO_LARGE', object: undefined };
          continue;
        }
        if (line.trim() === '') continue;
        const { type, object } = eventShape.parse(JSON.parse(line));
        if (type === 'ERROR') throw statusError(what, 0, object);
        yield { type, object };
      }
    } catch (error) {
      throw named(what, limit.signal.aborted ? limit.signal.reason : error);
    } finally {
      // Also when the reader has had enough: nothing more is sent to us.
      limit.end();
      limit.abort();
    }
  }

  return {
    watch,
    get: (path, options) => ask({ method: 'GET', path }, options),
    async list(path, { limit, continue: token, fieldSelector, ...options } = {}) {
      const query = { limit: limit?.toString(), continue: token, fieldSelector };
      const page = pageShape.parse(await ask({ method: 'GET', path, query }, options));
      const { resourceVersion, continue: next } = page.metadata;
      return { items: page.items ?? [], resourceVersion, continue: next || undefined };
    },
    create: (path, body, options) => ask({ method: 'POST', path, body, query: { fieldManager } }, options),
    replace: (path, body, options) => ask({ method: 'PUT', path, body, query: { fieldManager } }, options),
    mergePatch: (path, body, { metadataOnly, ...options } = {}) =>
      ask(
        {
          method: 'PATCH',
          path,
          body,
          query: { fieldManager },
          contentType: 'application/merge-patch+json',
          accept: metadataOnly ? `${metadataJson},application/json` : undefined,
        },
        options,
      ),
    remove: (path, options) => ask({ method: 'DELETE', path }, options),
  };
}

interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  query?: Record<string, string | undefined>;
  body?: unknown;
  contentType?: string | undefined;
  accept?: string | undefined;
}

const nameOf = ({ method, path }: Call) => `${method} ${path}`;

function queryOf(query: Call['query'] = {}): string {
  const pairs = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}

/** The caller's signal and a timer in one; freed by `end`, so that a long-lived signal collects no listeners. */
function limited(signal: AbortSignal | undefined, ms: number, onTimeout: () => Error) {
  const controller = new AbortController();
  let late = onTimeout;
  let timer = setTimeout(() => controller.abort(late()), ms);
  let timerMs = ms;
  const stop = () => controller.abort(signal?.reason);
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop, { once: true });
  return {
    signal: controller.signal,
    extend(nextMs: number, onLate: () => Error) {
      late = onLate;
      if (nextMs === timerMs) return void timer.refresh();
      clearTimeout(timer);
      timerMs = nextMs;
      timer = setTimeout(() => controller.abort(late()), nextMs);
    },
    end() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    },
    abort: () => controller.abort(),
  };
}

async function bytesOf(response: http.IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    length += chunk.length;
    // Leaving the loop destroys the response, and its socket with it.
    if (length > maxBytes) throw new TooLargeError(`the answer is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return { message: body.toString('utf8', 0, 200) };
  }
}

/** Errors of ours say themselves what failed; those of sockets and parsers do not. */
function named(what: string, error: unknown): unknown {
  if (error instanceof ApiError || error instanceof TimeoutError) return error;
  if (error instanceof TooLargeError) return new TooLargeError(`${what}: ${error.message}`);
  if (error instanceof Error && error.name === 'AbortError') return error;
  return new Error(what, { cause: error });
}

/** Path of a namespaced object in the core group or `group` (apis/apps/v1). */
export function pathOf(
  { group = 'api/v1', namespace }: { group?: string; namespace?: string },
  resource: string,
  name?: string,
): string {
  const parts = [
    ...group.split('/'),
    ...(namespace === undefined ? [] : ['namespaces', namespace]),
    resource,
    ...(name === undefined ? [] : [name]),
  ];
  return `/${parts.map(encodeURIComponent).join('/')}`;
}
