import test from 'ava';
import fc from 'fast-check';
import picomatch from 'picomatch';
import { compileGlob, GlobMistake } from './glob.ts';

const matching: [pattern: string, texts: string[], others: string[]][] = [
  ['shop', ['shop'], ['Shop', 'shop-1', '', 'sho']],
  ['*', ['', 'a', 'a/b', '.hidden', 'a\nb'], []],
  ['**', ['', 'a/b/c'], []],
  ['shop-*', ['shop-', 'shop-a/b'], ['shop', 'my-shop-a']],
  ['*-api', ['-api', 'shop-api'], ['shop-api-1']],
  ['a*b*c', ['abc', 'a-b-c', 'abbcc', 'abcbc'], ['ab', 'acb', 'abcd']],
  ['a*a', ['aa', 'aba'], ['a']],
  ['*ab*ab', ['abab', 'xabxab', 'aabab'], ['ab', 'abb']],
  ['?', ['a', '/', '.'], ['', 'ab']],
  ['web-?', ['web-1'], ['web-', 'web-10']],
  ['*?b', ['ab', 'aab'], ['b']],
  ['[a-c]1', ['a1', 'c1'], ['d1', '1']],
  ['[!a-c]', ['d', '-'], ['a', '', 'dd']],
  ['[^a]', ['b'], ['a']],
  ['[-a]', ['-', 'a'], ['b']],
  ['[a-]', ['-', 'a'], ['b']],
  ['[{,}*?]', ['{', ',', '}', '*', '?'], ['a']],
  ['[\\]]', [']'], ['\\']],
  ['{a,b}-?', ['a-1', 'b-x'], ['c-1', 'a-']],
  ['{a,b{c,d}}', ['a', 'bc', 'bd'], ['b', 'b{c', 'ac']],
  ['web{,-canary}', ['web', 'web-canary'], ['web-']],
  ['{a*,*b}', ['a', 'ax', 'xb'], ['x']],
  ['a,b', ['a,b'], ['a', 'b']],
  ['\\*', ['*'], ['a', '\\*']],
  ['\\{a\\,b\\}', ['{a,b}'], ['a']],
  ['a\\\\b', ['a\\b'], ['ab']],
  ['a.b+c^d$e"f', ['a.b+c^d$e"f'], ['axb+c^d$e"f']],
  ['!a', ['!a'], ['b']],
];

for (const [pattern, texts, others] of matching) {
  test(`${pattern} matches ${JSON.stringify(texts)}${others.length > 0 ? ` and not ${JSON.stringify(others)}` : ''}`, (t) => {
    const matches = compileGlob(pattern);
    t.deepEqual(
      texts.filter((text) => !matches(text)),
      [],
    );
    t.deepEqual(others.filter(matches), []);
  });
}

test('text without signs matches exactly itself, and so does any text whose signs are escaped', (t) => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 40 }), fc.string(), (text, other) => {
      const matches = compileGlob(text.replace(/[*?[\]{}()|\\,!]/g, '\\$&'));
      t.true(matches(text));
      t.is(matches(other), other === text);
    }),
  );
  t.true(compileGlob('app.kubernetes.io/name')('app.kubernetes.io/name'));
});

const part = fc.constantFrom(
  'a',
  'b',
  '-',
  '_',
  '*',
  '?',
  '[ab]',
  '[!a]',
  '[a-c]',
  '{a,b}',
  '{a,*b}',
  '{-,a?}',
  '**',
);
const shortPattern = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''));
const shortText = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '-', '_'), minLength: 1, maxLength: 8 });

// `posix`: without it picomatch takes [!a] for "! or a". Texts have no / and no dots: to picomatch they are paths.
test('what short patterns match is what picomatch says', (t) => {
  const options = {
    dot: true,
    bash: true,
    posix: true,
    nonegate: true,
    noextglob: true,
    strictBrackets: true,
    literalBrackets: false,
  };
  fc.assert(
    fc.property(shortPattern, shortText, (pattern, text) => {
      const theirs = picomatch(pattern, options)(text);
      t.is(compileGlob(pattern)(text), theirs, `${pattern} against ${text}`);
    }),
    { numRuns: 2000 },
  );
});

test('a pattern is accepted or refused with words, and picomatch finds the brackets of an accepted one in order', (t) => {
  const signs = fc.string({ unit: fc.constantFrom(...'ab*?[]{}(),|\\!^-.'), maxLength: 16 });
  fc.assert(
    fc.property(signs, fc.string(), (pattern, text) => {
      const matches = compiled(t, pattern);
      if (!matches) return;
      t.is(typeof matches(text), 'boolean');
      t.notThrows(() => picomatch(pattern, { strictBrackets: true, noextglob: true }), pattern);
    }),
    { numRuns: 2000 },
  );
});

function compiled(t: import('ava').ExecutionContext, pattern: string) {
  try {
    return compileGlob(pattern);
  } catch (error) {
    t.true(error instanceof GlobMistake && error.wrong !== '' && error.instead !== '', String(error));
    return undefined;
  }
}

// An annotation may be this long. A regular expression would not come back from these.
const long = 256 * 1024;
const hostile: [title: string, pattern: string, text: string, matches: boolean][] = [
  ['19 stars', '*a'.repeat(19), 'a'.repeat(long), true],
  ['19 stars and an end that never comes', `${'*a'.repeat(18)}*b`, 'a'.repeat(long), false],
  ['19 stars with sets between them', `${'*[a-c]?a'.repeat(15)}*b`, 'a'.repeat(long), false],
  ['19 stars with long text between them', `${'*aaaab'.repeat(18)}*`, 'a'.repeat(long), false],
  ['stars in braces', `{a,${'*a?'.repeat(9)}b}{a,${'*a?'.repeat(9)}b}`, 'a'.repeat(long), false],
  ['neighbouring stars', `${'*'.repeat(18)}b`, 'a'.repeat(long), false],
];
for (const [title, pattern, text, expected] of hostile) {
  test(`a match against 256 KiB ends: ${title}`, (t) => t.is(compileGlob(pattern)(text), expected));
}

test('braces that multiply are refused before they do', (t) => {
  t.throws(() => compileGlob('{,}'.repeat(42)), { instanceOf: GlobMistake, message: /too many patterns/ });
  t.throws(() => compileGlob('{a,b}'.repeat(25)), { instanceOf: GlobMistake, message: /too many patterns/ });
  t.throws(() => compileGlob('{'.repeat(128)), { instanceOf: GlobMistake, message: /its \{ is not closed/ });
});
