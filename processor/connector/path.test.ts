import test from 'ava';
import fc from 'fast-check';
import { pathForms } from './path.ts';

for (const [target, ...forms] of [
  ['/', '/'],
  ['/a/b?c=/../d', '/a/b'],
  ['/a/', '/a/'],
  ['/a%20b', '/a b', '/a%20b'],
  ['/static/../admin', '/admin', '/static/../admin'],
  ['/static/..%2fadmin', '/admin', '/static/..%2fadmin'],
  ['/static/%2e%2e/admin', '/admin', '/static/%2e%2e/admin'],
  ['//a///b', '/a/b', '//a///b'],
  ['/../../a', '/a', '/../../a'],
  ['/a/..', '/', '/a/..'],
  ['/a/.', '/a/', '/a/.'],
  ['/%c3%bc', '/ü', '/%c3%bc'],
  ['http://h/x/../y', '/y', '/x/../y'],
  ['http://h', '/'],
  ['*', '*'],
  ['h:443', 'h:443'],
] as const) {
  test(`${target} is ${forms.join(' or ')}`, (t) => {
    t.deepEqual(pathForms(target), [...forms]);
  });
}

test('a normalized path has no dots and no empty segments, and normalizing again changes nothing', (t) => {
  const target = fc
    .array(fc.constantFrom('/', '.', '..', 'a', '%41', ' ', 'b'), { maxLength: 12 })
    .map((parts) => `/${parts.join('')}`);
  fc.assert(
    fc.property(target, (target) => {
      const [normalized] = pathForms(target);
      t.false(/\/\/|\/\.{1,2}(\/|$)/.test(normalized), normalized);
      t.is(pathForms(normalized)[0], normalized);
    }),
  );
});
