import test from 'ava';
import { BadPattern, compilePattern } from './pattern.ts';

test('a pattern is found anywhere unless it is anchored', (t) => {
  t.true(compilePattern('text/html').finds('a, text/html', false));
  t.false(compilePattern('^text/html').finds('a, text/html', false));
});

test('text that is too long to tell gives the doubt', (t) => {
  const pattern = compilePattern('a');
  t.deepEqual([pattern.finds('a'.repeat(8193), true), pattern.finds('a'.repeat(8193), false)], [true, false]);
});

test('what takes a backtracking engine for ever is matched', (t) => {
  const pattern = compilePattern('^(a+)+$');
  t.false(pattern.finds(`${'a'.repeat(8000)}b`, true));
});

for (const [source, reason] of [
  ['[', /no RE2 expression \(missing closing \]/],
  ['(?=a)', /no RE2 expression/],
  ['(a)\\1', /no RE2 expression/],
  ['(a{900}){900}', /no RE2 expression/],
  ['(a{10}){99}b{99}', /it repeats so much/],
  ['a'.repeat(1001), /more than 1000 characters/],
] as const) {
  test(`${source.slice(0, 20)} is refused`, (t) => {
    t.throws(() => compilePattern(source), { instanceOf: BadPattern, message: reason });
  });
}
