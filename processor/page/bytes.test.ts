import test from 'ava';
// @ts-expect-error: the page is plain JavaScript.
import { piecesOf } from './bytes.js';

for (const [title, bytes, pieces] of [
  ['plain text stays', 'a b', [{ text: 'a b', escaped: false }]],
  ['UTF-8 is read', 'sch\xc3\xb6n', [{ text: 'schön', escaped: false }]],
  [
    'other bytes are escaped',
    'a\xff\x00',
    [
      { text: 'a', escaped: false },
      { text: '\\xff\\x00', escaped: true },
    ],
  ],
  ['an overlong form is no character', '\xc0\xaf', [{ text: '\\xc0\\xaf', escaped: true }]],
  ['text that turns direction is escaped', '\xe2\x80\xae', [{ text: '\\xe2\\x80\\xae', escaped: true }]],
] as const) {
  test(title, (t) => t.deepEqual(piecesOf(bytes), pieces));
}
