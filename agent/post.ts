// One POST to the processor over mTLS.
import { Agent, request } from 'node:https';
import type { CertificatePair, CertificateSource } from '../certs/source.ts';
import type { ProcessorConfig } from './config.ts';

export interface Answer {
  status: number;
  retryAfter: string | undefined;
  /** The beginning of the body, as text. */
  text: string;
}

/** What is sent, by where it goes below processor.url. */
export interface Endpoint {
  path: string;
  type: string;
  /** Now and then: it uses a connection that rests, or one of its own that ends with it, and keeps none. */
  rare?: boolean;
}

export const endpoints = {
  exchanges: { path: 'v1/exchanges', type: 'application/x-protobuf' },
  // A processor has so many connections for all its agents; most agents may have nothing else to send.
  coverage: { path: 'v1/coverage', type: 'application/json', rare: true },
} satisfies Record<string, Endpoint>;

export interface Poster {
  /**
   * To the exchanges, unless told otherwise.
   * Rejects with the error of the socket, or with `signal.reason`; `ETIMEDOUT` when no connection came about within
   * `connectTimeoutMs` (name and TCP; a busy processor may take its time for TLS), or no answer within `timeoutMs`.
   */
  post(bytes: Buffer, signal: AbortSignal, endpoint?: Endpoint): Promise<Answer>;
  close(): void;
}

// Enough for a sentence; the rest of an answer is read and thrown away.
const maxAnswerBytes = 512;

/** Connections are kept alive; after a reload of the certificates new ones are made and the old ones end. */
export function createPoster({
  processor,
  certificates,
  connectTimeoutMs,
  timeoutMs,
  maxSockets,
}: {
  processor: Pick<ProcessorConfig, 'url' | 'serverName'>;
  certificates: Pick<CertificateSource, 'current'>;
  connectTimeoutMs: number;
  timeoutMs: number;
  maxSockets: number;
}): Poster {
  let pair = certificates.current();
  let agent = newAgent(pair, processor.serverName, maxSockets);

  const currentAgent = () => {
    const newest = certificates.current();
    if (newest === pair) return agent;
    const old = agent;
    // What is under way on the old connections may end in its own time.
    setTimeout(() => old.destroy(), timeoutMs).unref();
    pair = newest;
    agent = newAgent(pair, processor.serverName, maxSockets);
    return agent;
  };

  return {
    post: (bytes, signal, endpoint = endpoints.exchanges) => {
      const url = endpointUrl(processor.url, endpoint);
      return send({ url, endpoint, agent: currentAgent(), bytes, signal, connectTimeoutMs, timeoutMs });
    },
    close: () => agent.destroy(),
  };
}

/** `https://host:port/prefix/` → `https://host:port/prefix/v1/exchanges`. */
export function endpointUrl(base: string, { path }: Endpoint): URL {
  return new URL(path, base.endsWith('/') ? base : `${base}/`);
}

function newAgent(pair: CertificatePair, serverName: string | undefined, maxSockets: number): Agent {
  return new Agent({
    ...pair,
    minVersion: 'TLSv1.3',
    keepAlive: true,
    maxSockets,
    ...(serverName !== undefined && { servername: serverName }),
  });
}

interface Sending {
  url: URL;
  endpoint: Endpoint;
  agent: Agent;
  bytes: Buffer;
  signal: AbortSignal;
  connectTimeoutMs: number;
  timeoutMs: number;
}

async function send(sending: Sending): Promise<Answer> {
  // Each round uses up one connection that the server closed while it was idle; there are `maxSockets` of them.
  // The batch id makes sending again harmless.
  for (;;) {
    try {
      return await sendOnce(sending);
    } catch (error) {
      if (!(error as { staleSocket?: boolean }).staleSocket || sending.signal.aborted) throw error;
    }
  }
}

function sendOnce({
  url,
  endpoint,
  agent,
  bytes,
  signal,
  connectTimeoutMs,
  timeoutMs,
}: Sending): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const ends = endpoint.rare === true && Object.keys(agent.freeSockets).length === 0;
  const call = request(url, {
    method: 'POST',
    agent,
    headers: {
      'content-type': endpoint.type,
      'content-length': bytes.length,
      ...(ends && { connection: 'close' }),
    },
  });
  const onAbort = () => call.destroy(signal.reason);
  const timer = setTimeout(() => call.destroy(timeoutError('answer', timeoutMs)), timeoutMs);
  let connecting: NodeJS.Timeout | undefined;
  call.on('socket', (socket) => {
    if (!socket.connecting) return;
    connecting = setTimeout(
      () => call.destroy(timeoutError('connection', connectTimeoutMs)),
      connectTimeoutMs,
    );
    socket.once('connect', () => clearTimeout(connecting));
  });
  signal.addEventListener('abort', onAbort, { once: true });

  call.on('error', (error: NodeJS.ErrnoException) => {
    const staleSocket = call.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
    reject(Object.assign(error, { staleSocket }));
  });
  call.on('response', (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      if (text.length < maxAnswerBytes) text += chunk.slice(0, maxAnswerBytes - text.length);
    });
    response.on('error', reject);
    response.on('end', () =>
      resolve({
        status: response.statusCode ?? 0,
        retryAfter: response.headers['retry-after'],
        text: text.trim(),
      }),
    );
  });
  if (signal.aborted) onAbort();
  else call.end(bytes);

  return promise.finally(() => {
    clearTimeout(timer);
    clearTimeout(connecting);
    signal.removeEventListener('abort', onAbort);
  });
}

function timeoutError(what: 'connection' | 'answer', timeoutMs: number): Error {
  return Object.assign(new Error(`no ${what} within ${timeoutMs} ms`), { code: 'ETIMEDOUT' });
}
