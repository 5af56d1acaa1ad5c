import test from 'ava';
import fc from 'fast-check';
import { clientOf, type Proxies, proxiesOf } from './client.ts';
import { parseNetwork } from './network.ts';

const rule = (trusted: string[] | null, realIp = ['X-Forwarded-For']): Proxies => ({
  trusted: trusted?.map((text) => parseNetwork(text) ?? { address: new Uint8Array(4), bits: 32 }) ?? null,
  realIp,
  originalHost: [],
});
const ask = (rules: Proxies[], peer: string, ...lines: [string, string][]) =>
  clientOf(
    peer,
    lines.map(([name, value]) => ({ name, value })),
    proxiesOf(peer, rules),
  );

const inner = rule(['10.0.0.0/8', 'fd00::/8']);
type Row = [title: string, peer: string, forwarded: string[], expected: object];
const rows: Row[] = [
  [
    'the client that a trusted proxy names',
    '10.0.0.1',
    ['203.0.113.9'],
    { address: '203.0.113.9', header: 'X-Forwarded-For' },
  ],
  [
    'the nearest hop that is not trusted',
    '10.0.0.1',
    ['1.1.1.1, 203.0.113.9, 10.0.0.7'],
    { address: '203.0.113.9', header: 'X-Forwarded-For' },
  ],
  [
    'lines of one name are one list',
    '10.0.0.1',
    ['1.1.1.1', '203.0.113.9', '10.0.0.7'],
    { address: '203.0.113.9', header: 'X-Forwarded-For' },
  ],
  [
    'the first hop when all are trusted',
    '10.0.0.1',
    ['10.0.0.9, 10.0.0.7'],
    { address: '10.0.0.9', header: 'X-Forwarded-For' },
  ],
  ['a stranger is not believed', '192.0.2.1', ['203.0.113.9'], { address: '192.0.2.1' }],
  ['no header: the peer', '10.0.0.1', [], { address: '10.0.0.1' }],
  ['an empty header: the peer', '10.0.0.1', [' , '], { address: '10.0.0.1' }],
  [
    '"unknown" is said',
    '10.0.0.1',
    ['unknown'],
    { address: '10.0.0.1', unknown: 'X-Forwarded-For says "unknown"' },
  ],
  [
    '"unknown" behind a known hop',
    '10.0.0.1',
    ['1.1.1.1, unknown, 10.0.0.7'],
    { address: '10.0.0.7', header: 'X-Forwarded-For', unknown: 'X-Forwarded-For says "unknown"' },
  ],
  ['a port', '10.0.0.1', ['203.0.113.9:4711'], { address: '203.0.113.9', header: 'X-Forwarded-For' }],
  ['IPv6', 'fd00::1', ['2001:DB8:0:0::9'], { address: '2001:db8::9', header: 'X-Forwarded-For' }],
  [
    'IPv6 with a port',
    'fd00::1',
    ['[2001:db8::9]:443'],
    { address: '2001:db8::9', header: 'X-Forwarded-For' },
  ],
  [
    'an IPv4-mapped peer',
    '::ffff:10.0.0.1',
    ['203.0.113.9'],
    { address: '203.0.113.9', header: 'X-Forwarded-For' },
  ],
];
for (const [title, peer, forwarded, expected] of rows) {
  test(`client: ${title}`, (t) => {
    t.deepEqual(
      ask([inner], peer, ...forwarded.map((value): [string, string] => ['x-forwarded-for', value])),
      expected,
    );
  });
}

test('only the first rule about the peer applies, and of its headers the first that is there', (t) => {
  const rules = [rule(['10.0.0.0/8'], ['X-A', 'X-B']), rule(['10.0.0.0/8', '192.0.2.0/24'], ['X-C'])];
  t.deepEqual(ask(rules, '10.0.0.1', ['X-C', '1.1.1.1']), { address: '10.0.0.1' });
  t.deepEqual(ask(rules, '10.0.0.1', ['X-B', '1.1.1.1'], ['X-A', '2.2.2.2']), {
    address: '2.2.2.2',
    header: 'X-A',
  });
  t.deepEqual(ask(rules, '192.0.2.1', ['X-C', '1.1.1.1']), { address: '1.1.1.1', header: 'X-C' });
});

test('a rule without networks believes everybody, back to the first hop', (t) => {
  t.like(ask([rule(null)], '192.0.2.1', ['X-Forwarded-For', '1.1.1.1, 2.2.2.2']), { address: '1.1.1.1' });
});

const stranger = fc.ipV4().filter((text) => !text.startsWith('10.'));
const forged = fc.oneof(
  fc.string(),
  fc.ipV4(),
  fc.array(fc.ipV4()).map((all) => all.join(',')),
);

test('whatever a client writes, it does not get behind the address that the proxy saw', (t) => {
  fc.assert(
    fc.property(
      stranger,
      forged,
      fc.array(fc.nat(255).map((last) => `10.0.0.${last}`)),
      (client, lie, hops) => {
        const value = [lie, client, ...hops].join(', ');
        t.is(ask([inner], '10.0.0.1', ['X-Forwarded-For', value]).address, client);
      },
    ),
  );
});

test('whatever a stranger writes, it is its peer address', (t) => {
  fc.assert(
    fc.property(stranger, forged, (peer, lie) => {
      t.deepEqual(ask([inner], peer, ['X-Forwarded-For', lie]), { address: peer });
    }),
  );
});

test('more hops than anybody has end the walk, and it is said', (t) => {
  const value = Array(5000).fill('10.0.0.2').join(',');
  t.deepEqual(ask([inner], '10.0.0.1', ['X-Forwarded-For', value]), {
    address: '10.0.0.2',
    header: 'X-Forwarded-For',
    unknown: 'X-Forwarded-For names more than 64 proxies',
  });
});
