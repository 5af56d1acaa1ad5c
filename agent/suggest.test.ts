import test from 'ava';
import fc from 'fast-check';
import { editDistance, suggest } from './suggest.ts';

const keys = ['targets', 'processor', 'limits', 'listen', 'log', 'shutdownGraceMs'];
const rows: [word: string, meant: string | undefined][] = [
  ['target', 'targets'],
  ['procesor', 'processor'],
  ['lsiten', 'listen'],
  ['shutdown_grace_ms', 'shutdownGraceMs'],
  ['logs', 'log'],
  ['certificates', undefined],
  ['x', undefined],
];

for (const [word, meant] of rows) {
  test(`${word} probably means ${meant}`, (t) => t.is(suggest(word, keys), meant));
}

test('the distance is zero for equal words only, the same both ways, and never more than the longer word', (t) => {
  const word = fc.string({ maxLength: 8 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      const distance = editDistance(a, b);
      return (
        (distance === 0) === (a === b) &&
        distance === editDistance(b, a) &&
        distance <= Math.max(a.length, b.length)
      );
    }),
  );
  t.pass();
});
