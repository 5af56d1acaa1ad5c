import { randomBytes } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { addressText, BadBatch, decodeBatch } from './exchange.ts';
import { encodeBatch } from './fake/batch.ts';

test('a batch keeps bytes, order and duplicates', (t) => {
  const headers: [string, string][] = [
    ['X-A', '1'],
    ['x-a', '\xff\x00'],
  ];
  const batch = decodeBatch(
    encodeBatch([{ target: '/\x80', headers, body: '\x00\xff' }], { nowMs: 1_700_000_000_123 }),
  );
  t.like(batch.exchanges[0], {
    target: { name: 'nginx' },
    startMs: 1_700_000_000_123,
    request: {
      target: '/\x80',
      headers: headers.map(([name, value]) => ({ name, value })),
      body: '\x00\xff',
      bodyLength: 2,
    },
  });
});

test('what is known of a connection with TLS is kept, and plaintext says nothing', (t) => {
  const tls = { version: 'TLSv1.3', cipherSuite: 'TLS_AES_128_GCM_SHA256', serverName: 'a', boundBy: 'aead' };
  const [over, plain] = decodeBatch(encodeBatch([{ tls }, {}])).exchanges;
  t.deepEqual(over?.connection.tls, tls);
  t.false('tls' in (plain?.connection ?? {}));
});

test('garbage is a bad batch, never a crash', (t) => {
  const batch = encodeBatch([{}, {}]);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(batch.length), (noise, at) => {
      for (const bytes of [noise, Buffer.concat([batch.subarray(0, at), noise])]) {
        try {
          decodeBatch(bytes);
        } catch (error) {
          t.true(error instanceof BadBatch, (error as Error).stack ?? '');
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('an id of another length is refused', (t) => {
  t.throws(() => decodeBatch(encodeBatch([], { id: randomBytes(8) })), { message: /id has 8 bytes/ });
});

for (const [bytes, text] of [
  ['0a000001', '10.0.0.1'],
  ['00000000000000000000ffff0a000001', '10.0.0.1'],
  ['00000000000000000000000000000001', '::1'],
  ['20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
  ['00000000000000000000000000000000', '::'],
  ['20010db8000100020003000400050000', '2001:db8:1:2:3:4:5:0'],
] as const) {
  test(`the address ${bytes} reads ${text}`, (t) => t.is(addressText(Buffer.from(bytes, 'hex'), 'x'), text));
}
