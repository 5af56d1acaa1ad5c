// A processor's ingest port on loopback: real TLS 1.3 with client certificates, answers from the test.
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createAuthority, issueLeaf } from '../../certs/authority.ts';
import type { CertificatePair } from '../../certs/source.ts';

export const authority = createAuthority({ commonName: 'test CA', days: 1 });
const server = issueLeaf(authority, {
  commonName: 'processor',
  dnsNames: ['processor'],
  ipAddresses: ['127.0.0.1'],
  usages: ['server'],
  days: 1,
});

/** A client's pair under `issuer`, trusting `trusted`. */
export function clientPair(issuer = authority, trusted = authority, commonName = 'agent'): CertificatePair {
  const { cert, key } = issueLeaf(issuer, { commonName, usages: ['client'], days: 1 });
  return { cert: Buffer.from(cert), key: Buffer.from(key), ca: Buffer.from(trusted.cert) };
}

export interface Received {
  url: string | undefined;
  type: string | undefined;
  client: string;
  protocol: string | null;
  /** The same for requests on one connection. */
  clientPort: number | undefined;
  body: Buffer;
}

export type Reply = (response: ServerResponse, request: IncomingMessage) => void;

export interface FakeProcessor {
  url: string;
  received: Received[];
  /** Coverage, which agents tell when they please: always taken, and none of `received`. */
  reports: Received[];
  connections(): number;
  close(): void;
}

/** Answers the n-th request with the n-th reply, all later ones with 200. */
export async function fakeProcessor(replies: Reply[] = [], port = 0): Promise<FakeProcessor> {
  const received: Received[] = [];
  const reports: Received[] = [];
  let connections = 0;
  const https = createServer(
    { ...server, ca: authority.cert, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      const socket = request.socket as import('node:tls').TLSSocket;
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('error', () => {});
      request.on('end', () => {
        const client = String(socket.getPeerCertificate().subject.CN);
        const { url, headers } = request;
        const { remotePort: clientPort } = socket;
        const body = Buffer.concat(chunks);
        const isReport = url?.endsWith('/v1/coverage') === true;
        (isReport ? reports : received).push({
          url,
          type: headers['content-type'],
          client,
          protocol: socket.getProtocol(),
          clientPort,
          body,
        });
        const reply = (isReport ? undefined : replies.shift()) ?? status(200);
        reply(response, request);
      });
    },
  );
  https.on('secureConnection', () => connections++);
  https.listen(port, '127.0.0.1');
  await once(https, 'listening');
  return {
    url: `https://127.0.0.1:${(https.address() as AddressInfo).port}`,
    received,
    reports,
    connections: () => connections,
    close() {
      https.close();
      https.closeAllConnections();
    },
  };
}

export function status(code: number, headers: Record<string, string> = {}, text = ''): Reply {
  return (response) => response.writeHead(code, headers).end(text);
}

export const reset: Reply = (_, request) => request.socket.destroy();
export const silence: Reply = () => {};
