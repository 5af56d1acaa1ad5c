import test from 'ava';
import fc from 'fast-check';
import { boundedWarnings } from './warnings.ts';

test('equal warnings are one, in the order they came', (t) => {
  t.deepEqual(boundedWarnings(['b', 'a', 'b']), ['b', 'a']);
});

test('what is too long ends in an ellipsis', (t) => {
  const [warning = ''] = boundedWarnings(['😀'.repeat(300)]);
  t.is(Array.from(warning).length, 256);
  t.true(warning.endsWith('😀…'));
});

test('the last warning counts those that are missing', (t) => {
  const warnings = boundedWarnings(Array.from({ length: 40 }, (_, n) => `warning ${n}`));
  t.is(warnings.length, 16);
  t.is(warnings.at(-1), '… and 25 more warnings');
});

test('a control character is shown, since the API server drops the whole warning for it', (t) => {
  t.deepEqual(boundedWarnings(['a\nb\u2028c\x1b[2J\ud800']), ['a\\u000ab\\u2028c\\u001b[2J\ufffd']);
});

test('whatever comes, the API server has nothing to cut', (t) => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 2000, size: 'max' })), (warnings) => {
      const bounded = boundedWarnings(warnings);
      const lengths = bounded.map((warning) => Array.from(warning).length);
      return (
        lengths.every((length) => length <= 256) &&
        lengths.reduce((sum, length) => sum + length, 0) <= 4096 &&
        bounded.every((warning) => !/\p{Cc}/u.test(warning))
      );
    }),
    { numRuns: 50 },
  );
  t.pass();
});
