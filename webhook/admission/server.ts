// HTTPS for the API server, with certificates that change and an end that nobody notices.
import { createServer, type Server } from 'node:https';
import type { Express } from 'express';
import type { CertificatePair } from '../../certs/source.ts';
import { handshakeSentence } from './handshake.ts';

// The API server keeps idle connections for about 90 s; at Node's 5 s it finds them closed under its hands (EOF).
const keepAliveTimeoutMs = 95_000;
// From the first byte of a request (or from the handshake, for the first one), so they do not end an idle connection.
// The API server itself gives up after 1 to 10 s; whoever takes longer only holds the room of others.
const headersTimeoutMs = 10_000;
// Node wants it no smaller than headersTimeout.
const requestTimeoutMs = 15_000;
// Node looks at the former two only now and then, by itself every 30 s.
const connectionsCheckingIntervalMs = 5_000;
const handshakeTimeoutMs = 10_000;
// HTTP/1.1: one connection per review under way. An API server has 200 mutating requests in flight by default; a few of them.
const maxConnections = 1024;

export interface AdmissionServer {
  server: Server;
  /** For new connections; those that are open keep what they have. Throws on a bad pair, and the old one stays. */
  useCertificates(pair: CertificatePair): void;
  /** True from the moment that `drain` was called: say so in readiness. */
  draining(): boolean;
  /** Takes its time, see DrainTimes; resolves when every connection is closed. A second call waits for the first. */
  drain(times: DrainTimes): Promise<void>;
}

export interface DrainTimes {
  /** Goes on answering new requests for so long, with `Connection: close`: endpoints take seconds to forget this pod. */
  graceMs: number;
  /** Then requests under way have so long to end. */
  inFlightMs?: number;
}

// As long as the API server waits for any of our webhooks.
const defaultInFlightMs = 10_000;

/** `onRefused` hears of handshakes that failed; anybody can cause them, so log it seldom. */
export function createAdmissionServer(
  app: Express,
  pair: CertificatePair,
  onRefused: (sentence: string) => void,
): AdmissionServer {
  const server = createServer({
    ...tlsOptions(pair),
    keepAliveTimeout: keepAliveTimeoutMs,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: connectionsCheckingIntervalMs,
    handshakeTimeout: handshakeTimeoutMs,
    maxHeaderSize: 16_384,
  });
  server.maxConnections = maxConnections;
  // Whoever opens them all and then keeps still shall not keep the API server out: its next attempt finds room.
  server.on('drop', () => server.closeIdleConnections());
  server.on('tlsClientError', (error, socket) => onRefused(handshakeSentence(error, socket.remoteAddress)));

  let drained: Promise<void> | undefined;
  server.on('request', (request, response) => {
    if (drained !== undefined) response.setHeader('Connection', 'close');
    app(request, response);
  });

  return {
    server,
    useCertificates: (next) => server.setSecureContext(tlsOptions(next)),
    draining: () => drained !== undefined,
    drain(times) {
      drained ??= close(server, times);
      return drained;
    },
  };
}

// Only what a server needs: its CA bundle is for those who call it, and the API server sends no client certificate.
function tlsOptions({ cert, key }: CertificatePair) {
  return { cert, key, minVersion: 'TLSv1.2' } as const;
}

async function close(server: Server, { graceMs, inFlightMs = defaultInFlightMs }: DrainTimes): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, graceMs));
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), inFlightMs);
  await closed;
  clearTimeout(timer);
}
