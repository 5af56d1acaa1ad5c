import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import test from 'ava';
import forge from 'node-forge';
import { createAuthority, type Issued, issueLeaf } from './authority.ts';
import { type CertificateSource, watchCertificates } from './source.ts';

const authority = createAuthority({ commonName: 'test CA', days: 10 });
const issue = (commonName: string, days = 1) =>
  issueLeaf(authority, { commonName, ipAddresses: ['127.0.0.1'], usages: ['client', 'server'], days });
const [first, second] = [issue('first'), issue('second')];

function folder(pair: Issued) {
  const dir = mkdtempSync(join(tmpdir(), 'certs-'));
  const files = {
    certFile: join(dir, 'tls.crt'),
    keyFile: join(dir, 'tls.key'),
    caFile: join(dir, 'ca.crt'),
  };
  const write = ({ cert, key }: Issued) => {
    writeFileSync(files.certFile, cert);
    writeFileSync(files.keyFile, key);
  };
  write(pair);
  writeFileSync(files.caFile, authority.cert);
  return { files, write, remove: () => rmSync(dir, { recursive: true }) };
}

function watched(pair: Issued, intervalMs = 10) {
  const at = folder(pair);
  const seen: string[] = [];
  const source = watchCertificates({
    ...at.files,
    intervalMs,
    onReload: () => seen.push('reload'),
    onError: (error) => seen.push(error.message.replace(/\/\S*\//g, '')),
  });
  return { ...at, seen, source };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const pollsPassed = () => new Promise((resolve) => setTimeout(resolve, 100));

test('a new pair is taken without a restart', async (t) => {
  const { source, write, seen, remove } = watched(first);
  t.is(String(source.current().cert), first.cert);
  write(second);
  await until(() => seen.length > 0);
  t.is(String(source.current().cert), second.cert);
  t.is(String(source.current().key), second.key);
  source.close();
  t.true(seen.every((event) => event === 'reload'));
  remove();
});

test('the old pair stays while the new one is bad, each failure is told once, and a good one ends it', async (t) => {
  const { files, source, write, seen, remove } = watched(first);
  writeFileSync(files.keyFile, second.key);
  await until(() => seen.length === 1);
  await pollsPassed();
  writeFileSync(files.certFile, 'half a');
  await until(() => seen.length === 2);
  t.is(String(source.current().cert), first.cert);
  write(second);
  await until(() => seen.length === 3);
  source.close();
  t.regex(
    String(seen[0]),
    /^load certificate tls\.crt: the key in tls\.key belongs to another certificate\. Put/,
  );
  t.regex(String(seen[1]), /^load certificate tls\.crt: no certificate in it\. Write PEM/);
  t.is(seen[2], 'reload');
  remove();
});

test('writing the same bytes again is no reload', async (t) => {
  const { source, write, seen, remove } = watched(first);
  write(first);
  await pollsPassed();
  source.close();
  t.deepEqual(seen, []);
  remove();
});

/** Signed by itself; OpenSSL takes no RSA key under 2048 bits. */
function weakPair(): Issued {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const forgeKey = forge.pki.privateKeyFromPem(key);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.setRsaPublicKey(forgeKey.n, forgeKey.e);
  certificate.serialNumber = '01';
  certificate.validity.notBefore = new Date(Date.now() - 60_000);
  certificate.validity.notAfter = new Date(Date.now() + 60_000);
  certificate.setSubject([{ name: 'commonName', value: 'weak' }]);
  certificate.setIssuer([{ name: 'commonName', value: 'weak' }]);
  certificate.sign(forgeKey, forge.md.sha256.create());
  return { cert: forge.pki.certificateToPem(certificate), key };
}

test('a pair that OpenSSL refuses is a bad pair, and the old one stays', async (t) => {
  const { source, write, seen, remove } = watched(first);
  write(weakPair());
  await until(() => seen.length === 1);
  source.close();
  t.regex(String(seen[0]), /tls\.crt: OpenSSL refuses it \(ERR_SSL_EE_KEY_TOO_SMALL\)\. Issue one/);
  t.is(String(source.current().cert), first.cert);
  remove();
});

const badAtStart = [
  {
    title: 'a missing file',
    spoil: (f: Files) => rmSync(f.certFile),
    message: /tls\.crt: no such file\. Write the path/,
  },
  {
    title: 'a folder',
    spoil: (f: Files) => dirAt(f, 'caFile'),
    message: /it is a directory\. Write the path of the file/,
  },
  {
    title: 'a key that is none',
    spoil: (f: Files) => writeFileSync(f.keyFile, 'key'),
    message: /tls\.key: the private key does not parse .*\. Write an unencrypted PEM key/,
  },
  {
    title: 'a CA bundle that is cut off',
    spoil: (f: Files) => writeFileSync(f.caFile, authority.cert.replace(/\n.{64}\n/, '\n')),
    message: /ca\.crt: certificate 1 of 1 does not parse .*\. Write it again, whole/,
  },
  {
    title: 'an expired certificate',
    spoil: (f: Files) => {
      const expired = issue('expired', -0.001);
      writeFileSync(f.certFile, expired.cert);
      writeFileSync(f.keyFile, expired.key);
    },
    message: /tls\.crt: it expired on \d{4}-.*\. Issue a new one/,
  },
];

type Files = ReturnType<typeof folder>['files'];

function dirAt(files: Files, which: keyof Files) {
  files[which] = tmpdir();
}

for (const { title, spoil, message } of badAtStart) {
  test(`${title} at the start is thrown with what to do`, (t) => {
    const { files, remove } = folder(first);
    spoil(files);
    t.throws(() => watchCertificates(files), { message });
    remove();
  });
}

test('connections under TLS 1.3 with client certificates live through a reload, and new ones get the new pair', async (t) => {
  const { source, write, remove, seen } = watched(first);
  const server = createServer(
    { ...source.current(), minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: true },
    (socket) => socket.on('error', () => {}).pipe(socket),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const dial = async (pair: ReturnType<CertificateSource['current']> | { ca: Buffer }) => {
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: '127.0.0.1', port, minVersion: 'TLSv1.3', ...pair });
    await once(socket, 'secureConnect');
    return socket;
  };
  const nameOf = (socket: TLSSocket) => socket.getPeerCertificate().subject.CN;
  const echo = async (socket: TLSSocket, text: string) => {
    socket.write(text);
    return String((await once(socket, 'data'))[0]);
  };

  const old = await dial(source.current());
  t.is(nameOf(old), 'first');
  t.is(old.getProtocol(), 'TLSv1.3');
  write(second);
  await until(() => seen.includes('reload'));
  server.setSecureContext(source.current());

  const young = await dial(source.current());
  t.is(nameOf(young), 'second');
  t.is(await echo(old, 'still here'), 'still here');
  t.is(await echo(young, 'me too'), 'me too');

  const stranger = await dial({ ca: source.current().ca });
  stranger.write('x');
  await t.throwsAsync(once(stranger, 'data'), undefined, 'no client certificate, no service');
  for (const socket of [old, young]) socket.destroy();
  source.close();
  server.close();
  remove();
});
