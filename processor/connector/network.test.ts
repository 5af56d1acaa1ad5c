import { BlockList } from 'node:net';
import test from 'ava';
import fc from 'fast-check';
import { addressText } from '../exchange.ts';
import { contains, parseAddress, parseNetwork } from './network.ts';

const isIn = (network: string, address: string) => {
  const [inside, of] = [parseNetwork(network), parseAddress(address)];
  if (!inside || !of) throw new Error(`no network or address: ${network} ${address}`);
  return contains(inside, of);
};

for (const [network, address, expected] of [
  ['10.0.0.0/8', '10.255.255.255', true],
  ['10.0.0.0/8', '11.0.0.0', false],
  ['10.1.2.3/8', '10.9.9.9', true],
  ['10.0.0.0/9', '10.128.0.0', false],
  ['192.0.2.7', '192.0.2.7', true],
  ['192.0.2.7', '192.0.2.8', false],
  ['0.0.0.0/0', '203.0.113.9', true],
  ['0.0.0.0/0', '::1', false],
  ['::/0', '203.0.113.9', false],
  ['::/0', 'fd00::1', true],
  ['fd00::/8', 'fdff::1', true],
  ['fd00::/8', 'fe00::1', false],
  ['10.0.0.0/8', '::ffff:10.1.2.3', true],
  ['::ffff:10.0.0.0/104', '10.1.2.3', true],
  ['::ffff:a00:0/104', '11.1.2.3', false],
] as const) {
  test(`${address} is ${expected ? '' : 'not '}in ${network}`, (t) => {
    t.is(isIn(network, address), expected);
  });
}

for (const text of [
  '',
  '10.0.0.0/33',
  '10.0.0/8',
  '010.0.0.0/8',
  '10.0.0.0/-1',
  'fd00::/129',
  'fe80::1%eth0',
  '::ffff:10.0.0.0/8',
  '/8',
  'a/8',
]) {
  test(`${JSON.stringify(text)} is no network`, (t) => {
    t.is(parseNetwork(text), undefined);
  });
}

test('an address reads as it was written, by any of its forms', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const bytes = parseAddress(text);
      const again = parseAddress(addressText(bytes ?? new Uint8Array(), text));
      t.deepEqual(again, bytes);
    }),
  );
});

test("a network holds what Node's BlockList says it holds", (t) => {
  const near = fc.tuple(fc.ipV4(), fc.ipV4(), fc.nat(32), fc.nat(32)).map(([a, b, bits, same]) => {
    const [left, right] = [a, b].map((text) => Buffer.from(text.split('.').map(Number)).readUInt32BE());
    const mask = same === 0 ? 0 : (0xffffffff << (32 - same)) >>> 0;
    const mixed = Buffer.alloc(4);
    mixed.writeUInt32BE((((left ?? 0) & mask) | ((right ?? 0) & ~mask)) >>> 0);
    return { network: a, bits, address: mixed.join('.') };
  });
  fc.assert(
    fc.property(near, ({ network, bits, address }) => {
      const list = new BlockList();
      list.addSubnet(network, bits, 'ipv4');
      t.is(isIn(`${network}/${bits}`, address), list.check(address, 'ipv4'));
    }),
  );
  fc.assert(
    fc.property(fc.ipV6(), fc.nat(128), fc.ipV6(), (network, bits, address) => {
      fc.pre(![network, address].some((text) => parseAddress(text)?.length === 4));
      const list = new BlockList();
      list.addSubnet(network, bits, 'ipv6');
      t.is(isIn(`${network}/${bits}`, address), list.check(address, 'ipv6'));
    }),
  );
});
