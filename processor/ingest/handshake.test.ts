import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type ConnectionOptions, connect } from 'node:tls';
import test from 'ava';
import express from 'express';
import { createAuthority, issueLeaf } from '../../certs/authority.ts';
import { createIngestServer } from './server.ts';

const ours = createAuthority({ commonName: 'our CA', days: 1 });
const other = createAuthority({ commonName: 'another CA', days: 1 });
const agentOf = (authority: typeof ours) =>
  issueLeaf(authority, { commonName: 'agent', usages: ['client'], days: 1 });
const pem = (text: string) => Buffer.from(text);
const { cert, key } = issueLeaf(ours, {
  commonName: 'processor',
  ipAddresses: ['127.0.0.1'],
  usages: ['server'],
  days: 1,
});

const cases: { title: string; client: ConnectionOptions; said: RegExp }[] = [
  {
    title: 'a certificate of another CA',
    client: { ...agentOf(other), ca: ours.cert },
    said: /^refused a connection.*: the client's certificate is not accepted \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)\. Have the CA in ingest\.caFile issue it/,
  },
  {
    title: 'a client that does not trust this certificate',
    client: { ...agentOf(ours), ca: other.cert },
    said: /^refused a connection.*: the client went away in the handshake\. .* processor\.ca$/,
  },
  {
    title: 'a client without a certificate',
    client: { ca: ours.cert },
    said: /^refused a connection of 127\.0\.0\.1: the client sent no certificate\. Only agents/,
  },
  {
    title: 'a client of an older TLS',
    client: { ...agentOf(ours), ca: ours.cert, maxVersion: 'TLSv1.2' },
    said: /^refused a connection of 127\.0\.0\.1: the client does not speak TLS 1\.3\. Run/,
  },
];

for (const { title, client, said } of cases) {
  test(`${title} is refused with a sentence that says what to do`, async (t) => {
    const pair = { cert: pem(cert), key: pem(key), ca: pem(ours.cert) };
    const { promise, resolve } = Promise.withResolvers<string>();
    const server = createIngestServer(express(), pair, resolve).listen(0, '127.0.0.1');
    t.teardown(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: '127.0.0.1', port, ...client });
    // Its side of the refusal is the agent's to tell.
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
    t.regex(await promise, said);
  });
}
