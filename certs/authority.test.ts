import { X509Certificate } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { createAuthority, issueLeaf, randomSerial } from './authority.ts';

const authority = createAuthority({ commonName: 'test CA', days: 10 });
const ca = new X509Certificate(authority.cert);
const server = issueLeaf(authority, {
  commonName: 'processor',
  dnsNames: ['processor.podmirror.svc', 'localhost'],
  ipAddresses: ['127.0.0.1', '::1'],
  usages: ['server'],
  days: 90,
});
const leaf = new X509Certificate(server.cert);

test('a leaf verifies against its authority and not against another one of the same name', (t) => {
  const impostor = new X509Certificate(createAuthority({ commonName: 'test CA', days: 10 }).cert);
  t.true(leaf.checkIssued(ca) && leaf.verify(ca.publicKey));
  t.false(leaf.verify(impostor.publicKey));
});

test('only the authority is a CA', (t) => {
  t.true(ca.ca);
  t.false(leaf.ca);
});

test('names are found where clients look for them', (t) => {
  t.is(leaf.checkHost('processor.podmirror.svc'), 'processor.podmirror.svc');
  t.is(leaf.checkHost('processor'), undefined, 'the common name is no host name');
  t.is(leaf.checkIP('127.0.0.1'), '127.0.0.1');
  t.is(leaf.checkIP('::1'), '::1');
});

test('a leaf serves for what it was issued for', (t) => {
  const client = issueLeaf(authority, { commonName: 'agent', usages: ['client'], days: 1 });
  t.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  t.deepEqual(new X509Certificate(client.cert).keyUsage, ['1.3.6.1.5.5.7.3.2']);
});

test('a leaf never outlives its authority', (t) => {
  t.is(leaf.validTo, ca.validTo);
});

test('a certificate is valid at once, on a clock that is a minute behind too', (t) => {
  t.true(leaf.validFromDate.getTime() < Date.now() - 60_000);
});

test('a serial is positive and 16 bytes long', (t) => {
  fc.assert(fc.property(fc.constant(undefined), () => /^[0-7][13579bdf][0-9a-f]{30}$/.test(randomSerial())));
  t.not(randomSerial(), randomSerial());
});

const refused = [
  { title: 'a server without a name', names: {}, message: /a server needs a name\. Write at least one/ },
  {
    title: 'a name given as IP address',
    names: { ipAddresses: ['web'] },
    message: /web is no IP address\. Write/,
  },
];

for (const { title, names, message } of refused) {
  test(`${title} is refused with what to write`, (t) => {
    t.throws(() => issueLeaf(authority, { commonName: 'x', usages: ['server'], days: 1, ...names }), {
      message,
    });
  });
}
