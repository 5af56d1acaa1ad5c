import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import express, { type Express } from 'express';
import { createAuthority, type Issued, issueLeaf } from '../../certs/authority.ts';
import { watchCertificates } from '../../certs/source.ts';
import { fakeLog } from '../cluster/fake/log.ts';
import { until } from '../cluster/fake/until.ts';
import { createAdmissionApp } from './app.ts';
import { readBody } from './bodies.ts';
import { podObject, reviewBody } from './fake/review.ts';
import { fakeView } from './fake/view.ts';
import { createAdmissionServer } from './server.ts';

const authority = createAuthority({ commonName: 'test CA', days: 1 });
const issue = (commonName: string): Issued =>
  issueLeaf(authority, { commonName, dnsNames: ['webhook'], usages: ['server'], days: 1 });
const [first, second] = [issue('first'), issue('second')];
const pairOf = ({ cert, key }: Issued) => ({
  cert: Buffer.from(cert),
  key: Buffer.from(key),
  ca: Buffer.from(authority.cert),
});

async function serve(
  t: ExecutionContext,
  app: Express = express().use((_, response) => void response.send('ok')),
) {
  const refusals: string[] = [];
  const admission = createAdmissionServer(app, pairOf(first), (sentence) => refusals.push(sentence));
  admission.server.listen(0, '127.0.0.1');
  await once(admission.server, 'listening');
  const { port } = admission.server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  t.teardown(() => {
    agent.destroy();
    admission.server.close();
    admission.server.closeAllConnections();
  });
  const tls = { host: '127.0.0.1', port, ca: authority.cert, servername: 'webhook' };
  const send = async (path = '/', body?: unknown) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const outgoing = request({
      ...tls,
      agent,
      path,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
    });
    outgoing.end(text);
    const [incoming] = await once(outgoing, 'response');
    const answer = await incoming.toArray();
    return {
      status: incoming.statusCode,
      connection: incoming.headers.connection,
      reused: outgoing.reusedSocket,
      text: Buffer.concat(answer).toString(),
    };
  };
  return { ...admission, send, tls, refusals };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('the whole way over TLS: a review goes in, a patch comes out', async (t) => {
  const app = createAdmissionApp({
    view: fakeView({ namespaces: { shop: 'enabled' } }),
    remember: async () => 'written',
    log: fakeLog(),
  });
  const { send } = await serve(t, app);
  const { status, text } = await send('/mutate?timeout=2s', reviewBody({ object: podObject() }));
  t.is(status, 200);
  t.like(JSON.parse(text).response, { allowed: true, patchType: 'JSONPatch' });
});

test("a connection that was idle for longer than Node's 5 s and than a request may take is used again", async (t) => {
  const { send, server } = await serve(t);
  t.false((await send()).reused);
  // Above the interval at which connections are looked at.
  [server.headersTimeout, server.requestTimeout] = [500, 500];
  await pause(6500);
  [server.headersTimeout, server.requestTimeout] = [10_000, 10_000];
  t.true((await send()).reused);
  t.true(server.keepAliveTimeout >= 90_000);
  t.true(server.maxConnections > 0);
});

test('a body that does not come ends with its connection, soon after the API server has given up', async (t) => {
  const { server, tls } = await serve(t, express().use(readBody()));
  t.true(server.requestTimeout >= 10_000 && server.requestTimeout <= 15_000);
  t.true(server.headersTimeout <= server.requestTimeout);
  server.headersTimeout = 500;
  server.requestTimeout = 500;
  const socket = connect(tls);
  await once(socket, 'secureConnect');
  socket.write(
    'POST / HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
  );
  const answer = await socket.toArray();
  t.regex(Buffer.concat(answer).toString(), /^HTTP\/1\.1 408 /);
});

test('connections that keep still make room for others', async (t) => {
  const { server, send, tls } = await serve(t);
  await send();
  server.maxConnections = 1;
  await t.throwsAsync(once(connect(tls), 'secureConnect'), { code: 'ECONNRESET' });
  const socket = connect(tls);
  await once(socket, 'secureConnect');
  socket.destroy();
  t.pass();
});

test('TLS 1.2 is served, 1.1 is not, and that is told in words', async (t) => {
  const { tls, refusals } = await serve(t);
  const socket = connect({ ...tls, maxVersion: 'TLSv1.2' });
  await once(socket, 'secureConnect');
  t.is(socket.getProtocol(), 'TLSv1.2');
  socket.destroy();
  // OpenSSL offers 1.1 at security level 0 only.
  const old = connect({ ...tls, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
  await t.throwsAsync(once(old, 'secureConnect'));
  await until(() => refusals.length > 0);
  t.regex(
    String(refusals[0]),
    /^refused a connection of 127\.0\.0\.1: the client speaks no TLS 1\.2 or newer/,
  );
});

/** Requests wait until they are released. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  let waiting = 0;
  const app = express().post('/slow', async (_request, response) => {
    waiting++;
    await promise;
    response.send('at last');
  });
  app.use((_request, response) => void response.send('ok'));
  return { app, release: resolve, waiting: () => waiting };
}

test('a drain goes on answering for its grace, then takes no connection, and ends when the last answer is out', async (t) => {
  const { app, release, waiting } = gate();
  const { send, drain, draining, tls } = await serve(t, app);
  t.is((await send()).connection, 'keep-alive');
  const slow = send('/slow');
  await until(() => waiting() === 1);

  t.false(draining());
  let drained = false;
  const draining1 = drain({ graceMs: 300 }).then(() => {
    drained = true;
  });
  t.true(draining());
  const late = await send();
  t.is(late.text, 'ok');
  t.is(late.connection, 'close');

  await pause(400);
  t.false(drained);
  await t.throwsAsync(once(connect(tls), 'secureConnect'), { code: 'ECONNREFUSED' });
  release();
  t.is((await slow).text, 'at last');
  await draining1;
  t.true(drained);
});

test('a drain does not wait for ever, and asking twice is asking once', async (t) => {
  const { app, waiting } = gate();
  const { send, drain } = await serve(t, app);
  const slow = send('/slow');
  const cut = t.throwsAsync(slow, { code: 'ECONNRESET' });
  await until(() => waiting() === 1);
  const times = { graceMs: 1, inFlightMs: 50 };
  t.is(drain(times), drain(times));
  await drain(times);
  await cut;
});

test('connections that are idle do not hold up a drain', async (t) => {
  const { send, drain } = await serve(t);
  await send();
  const startedMs = performance.now();
  await drain({ graceMs: 10 });
  t.true(performance.now() - startedMs < 5000);
});

test('a new pair is used without a restart, a bad one leaves the old one in place, and open connections live on', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'admission-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const files = {
    certFile: join(dir, 'tls.crt'),
    keyFile: join(dir, 'tls.key'),
    caFile: join(dir, 'ca.crt'),
  };
  const write = ({ cert, key }: Issued) => {
    writeFileSync(files.certFile, cert);
    writeFileSync(files.keyFile, key);
  };
  write(first);
  writeFileSync(files.caFile, authority.cert);
  const { send, tls, useCertificates } = await serve(t);
  const told: string[] = [];
  const source = watchCertificates({
    ...files,
    intervalMs: 10,
    onReload(pair) {
      useCertificates(pair);
      told.push('reload');
    },
    onError: ({ message }) => told.push(message),
  });
  t.teardown(() => source.close());
  const served = async () => {
    const socket: TLSSocket = connect(tls);
    await once(socket, 'secureConnect');
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return CN;
  };

  await send();
  t.is(await served(), 'first');
  writeFileSync(files.keyFile, second.key);
  await until(() => told.length === 1);
  t.regex(String(told[0]), /the key in .* belongs to another certificate/);
  t.is(await served(), 'first');

  write(second);
  await until(() => told.includes('reload'));
  t.is(await served(), 'second');
  t.true((await send()).reused);
});

test('a pair that does not match throws, and the old one stays', async (t) => {
  const { useCertificates, send } = await serve(t);
  t.throws(() => useCertificates({ ...pairOf(first), key: Buffer.from(second.key) }), {
    code: 'ERR_OSSL_X509_KEY_VALUES_MISMATCH',
  });
  t.is((await send()).text, 'ok');
});
