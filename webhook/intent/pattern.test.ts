import test from 'ava';
import fc from 'fast-check';
import { parsePattern, patternOf } from './pattern.ts';

const rows: [value: string, alternatives: string[], texts: string[], others: string[]][] = [
  ['a,b', ['a', 'b'], ['a', 'b'], ['a,b', 'c']],
  [' a , b ', ['a', 'b'], ['a', 'b'], [' a ']],
  ['{a,b}-?,c', ['{a,b}-?', 'c'], ['a-1', 'c'], ['c-1']],
  ['[a,b]', ['[a,b]'], ['a', ',', 'b'], ['[a']],
  ['a\\,b', ['a\\,b'], ['a,b'], ['a', 'b']],
  ['!kube-*', ['!kube-*'], ['shop'], ['kube-system']],
  ['!{a,b}', ['!{a,b}'], ['c'], ['a', 'b']],
  ['\\!a', ['\\!a'], ['!a'], ['a', 'b']],
  ['a,*', ['a', '*'], ['a', 'anything', ''], []],
];

for (const [value, alternatives, texts, others] of rows) {
  test(`${JSON.stringify(value)} stands for ${alternatives.join(' or ')}`, (t) => {
    const pattern = parsePattern(value);
    t.deepEqual(pattern.alternatives, alternatives);
    t.deepEqual(
      texts.filter((text) => !pattern.matches(text)),
      [],
    );
    t.deepEqual(others.filter(pattern.matches), []);
  });
}

test('the source of a pattern, and each alternative of it, is the same pattern again', (t) => {
  const part = fc.constantFrom('a', 'b', ',', ' ', '*', '[a,b]', '{a,b}', '\\,', '\\!', '?');
  const value = fc.array(part, { minLength: 1, maxLength: 8 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(value, fc.string({ unit: fc.constantFrom(...'ab,! '), maxLength: 5 }), (text, name) => {
      const pattern = patternOf(text);
      if (!pattern) return;
      t.is(patternOf(pattern.source)?.matches(name), pattern.matches(name));
      t.is(
        pattern.alternatives.some((each) => patternOf(each)?.matches(name)),
        pattern.matches(name),
      );
    }),
  );
});

test('text that is no pattern is none', (t) => {
  t.deepEqual(['', '[', 'a,', '!', 'a,!b'].map(patternOf), [
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
