import test from 'ava';
import { printable, renderTable } from './table.ts';

test('columns are as wide as their widest cell', (t) => {
  t.is(
    renderTable(
      ['a', 'name'],
      [
        ['long', 'x'],
        ['1', 'yy'],
      ],
    ),
    'a     name\n────  ────\nlong  x\n1     yy',
  );
});

test('escape sequences in traffic do not reach the terminal', (t) => {
  t.is(printable('/\x1b[2J\n'), '/\\x1b[2J\\x0a');
});

test('an over-long cell is cut', (t) => {
  t.is(printable('x'.repeat(1000)).length, 72);
});
