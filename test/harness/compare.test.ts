import test from 'ava';
import fc from 'fast-check';
import { compare, describeDifference, type Fact, isEmpty } from './compare.ts';

const fact = (id: string, rest: Partial<Fact> = {}): Fact => ({
  id,
  method: 'GET',
  target: `/${id}`,
  status: 200,
  bodyLength: 0,
  responseLength: null,
  headers: null,
  trailers: null,
  bodyDigest: null,
  ...rest,
});

test('equal accounts in any order have no difference', (t) => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { maxLength: 20 }), fc.infiniteStream(fc.nat()), (ids, order) => {
      const facts = ids.map((id) => fact(id));
      const shuffled = facts.toSorted(() => ((order.next().value ?? 0) % 3) - 1);
      return isEmpty(compare(facts, shuffled));
    }),
  );
  t.pass();
});

test('what is only in the first account is missing, what is only in the second unexpected', (t) => {
  const { missing, unexpected, differing } = compare([fact('a'), fact('b')], [fact('b'), fact('c')]);
  t.deepEqual([missing, unexpected, differing], [[fact('a')], [fact('c')], []]);
});

test('a second copy of an exchange is unexpected', (t) => {
  t.deepEqual(compare([fact('a')], [fact('a'), fact('a')]).unexpected, [fact('a')]);
});

for (const [field, value] of [
  ['method', 'PUT'],
  ['target', '/else'],
  ['status', 500],
  ['bodyLength', 1],
] as const) {
  test(`another ${field} is a difference of that field`, (t) => {
    const { differing } = compare([fact('a')], [fact('a', { [field]: value })]);
    t.deepEqual(differing[0]?.fields, [field]);
  });
}

test('what one side does not know is not compared', (t) => {
  t.true(
    isEmpty(compare([fact('a', { bodyLength: null, responseLength: 3 })], [fact('a', { bodyLength: 9 })])),
  );
});

test('a difference is told with the request and both values', (t) => {
  const text = describeDifference(compare([fact('a')], [fact('a', { status: 404 })]));
  t.is(
    text,
    '0 missing, 0 unexpected, 1 differing\n~ differing  a GET "/a" → 200, body 0\n    status: expected 200, got 404',
  );
});
