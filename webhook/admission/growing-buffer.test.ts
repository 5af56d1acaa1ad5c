import test from 'ava';
import fc from 'fast-check';
import { createGrowingBuffer } from './growing-buffer.ts';

test('what goes in comes out, also when a character is split', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), fc.nat({ max: 7 }), (text, size) => {
      const whole = Buffer.from(text.repeat(200));
      const buffer = createGrowingBuffer();
      for (let at = 0; at < whole.length; at += size + 1) buffer.add(whole.subarray(at, at + size + 1));
      t.is(buffer.length(), whole.length);
      t.is(buffer.toString(), whole.toString());
    }),
    { numRuns: 30 },
  );
});

test('its memory is at most twice what it holds, however small the chunks are', (t) => {
  const buffer = createGrowingBuffer();
  let memory = buffer.add(Buffer.from('x'));
  t.is(memory, 16 * 1024);
  for (let n = 1; n < 100_000; n++) memory += buffer.add(Buffer.from('x'));
  t.true(memory >= 100_000 && memory <= 200_000, `${memory}`);
});
