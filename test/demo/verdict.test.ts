import test from 'ava';
import type { Ledger } from '../../bpf/index.d.ts';
import { type Shown, whatIsWrong } from './verdict.ts';

const ledger = (exchanges: Partial<Ledger['exchanges']> = {}): Ledger => ({
  exchanges: { captured: 4, delivered: 4, dropped: {}, inFlight: 0, bodiesStripped: 0, ...exchanges },
  bytes: { seen: 0, copied: 0, elided: {}, lost: {}, parsed: 0, discarded: {}, held: 0 },
  closes: true,
  incidents: {},
});
const attacks = [{ type: 'path_traversal', method: 'GET', path: '/etc/passwd', parameter: 'path', hits: 1 }];
const shown: Shown = { attacks, ledger: ledger(), sent: 4, exchanges: 4 };

test('the attack on record and a closed ledger are all that is asked', (t) => {
  t.deepEqual(whatIsWrong(shown), []);
});

for (const [what, change, sentence] of [
  ['a missing attack', { attacks: [] }, /no path-traversal/],
  ['an attack of another type', { attacks: [{ ...attacks[0], type: 'xss' }] }, /no path-tr/],
  ['an attack on another path', { attacks: [{ ...attacks[0], path: '/text' }] }, /no path-traversal/],
  ['an exchange in flight', { ledger: ledger({ delivered: 3, inFlight: 1 }) }, /does not close/],
  ['bytes that are not accounted for', { ledger: { ...ledger(), closes: false } }, /agent says/],
  ['a request that was not seen', { sent: 5, exchanges: 5 }, /captured 4/],
  ['an exchange that was not printed', { exchanges: 3 }, /3 exchanges were printed/],
] as const) {
  test(`${what} is told`, (t) => {
    const wrong = whatIsWrong({ ...shown, ...change } as Shown);
    t.is(wrong.length, 1);
    t.regex(wrong[0] ?? '', sentence);
  });
}
