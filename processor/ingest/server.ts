// HTTPS with a client certificate (mTLS), TLS 1.3 only.
import { createServer, type Server } from 'node:https';
import type { Express } from 'express';
import type { CertificatePair } from '../../certs/source.ts';
import { handshakeSentence } from './handshake.ts';

// Agents keep connections and may be quiet for a while; stay above the 90 s that proxies and the API server use.
const keepAliveTimeoutMs = 120_000;
// A batch of some MiB over a slow link.
const requestTimeoutMs = 60_000;
// Each may hold a batch in memory while it arrives.
const maxConnections = 256;

export function createIngestServer(
  app: Express,
  { cert, key, ca }: CertificatePair,
  onRefused: (sentence: string) => void,
): Server {
  const server = createServer(
    {
      cert,
      key,
      ca,
      minVersion: 'TLSv1.3',
      requestCert: true,
      rejectUnauthorized: true,
      keepAliveTimeout: keepAliveTimeoutMs,
      requestTimeout: requestTimeoutMs,
      maxHeaderSize: 16_384,
    },
    app,
  );
  server.maxConnections = maxConnections;
  server.on('tlsClientError', (error, socket) => onRefused(handshakeSentence(error, socket)));
  return server;
}

/** For new connections; those that are open keep what they have. */
export function useCertificates(server: Server, { cert, key, ca }: CertificatePair): void {
  server.setSecureContext({ cert, key, ca, minVersion: 'TLSv1.3' });
}
