import test from 'ava';
import { markdownTable } from './markdown.ts';

test('cells are padded to the widest of their column', (t) => {
  t.is(
    markdownTable([
      ['a', 'b'],
      ['long', ''],
    ]),
    '| a    | b   |\n| ---- | --- |\n| long |     |',
  );
});
