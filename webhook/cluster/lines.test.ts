import test from 'ava';
import fc from 'fast-check';
import { linesOf } from './lines.ts';

async function* cutAt(bytes: Buffer, cuts: number[]): AsyncGenerator<Buffer> {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const to of [...places, bytes.length]) {
    yield bytes.subarray(from, to);
    from = to;
  }
}

test('lines are the same however the bytes arrive, also within a character', async (t) => {
  const line = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\n') && text.isWellFormed());
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.array(fc.nat()), async (lines, cuts) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
      t.deepEqual(await Array.fromAsync(linesOf(cutAt(bytes, cuts), 10_000)), lines);
    }),
  );
});

test('a last line without an end is given, and a line that is too long is passed by', async (t) => {
  const given = async (text: string) => await Array.fromAsync(linesOf(cutAt(Buffer.from(text), [3, 5]), 8));
  t.deepEqual(await given('one\ntwo'), ['one', 'two']);
  t.deepEqual(await given('one\ntwo two two'), ['one', undefined]);
  t.deepEqual(await given('two two two two\none\n\ntwo two t\n12345678\n'), [
    undefined,
    'one',
    '',
    undefined,
    '12345678',
  ]);
});
