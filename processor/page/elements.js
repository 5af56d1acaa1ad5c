// Builds elements. Text goes in as text, never as HTML: attackers wrote it.
import { piecesOf } from './bytes.js';

export const byId = (id) => document.getElementById(id);

/** `make('td', {class: 'code'}, 'text', element)`. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Bytes as nodes, with escapes set apart. */
export function bytes(latin1) {
  return piecesOf(latin1).map(({ text, escaped }) =>
    escaped ? make('span', { class: 'escape' }, text) : text,
  );
}

const encoder = new TextEncoder();

/** Text that somebody else chose, a path or a name, as nodes: what is unprintable in it is escaped as in bytes. */
export const text = (value) =>
  bytes(Array.from(encoder.encode(value), (byte) => String.fromCharCode(byte)).join(''));

/** Bytes with a part marked, where `mark` is `{start, end}` or undefined. */
export function markedBytes(latin1, mark) {
  if (!mark) return bytes(latin1);
  return [
    ...bytes(latin1.slice(0, mark.start)),
    make('mark', {}, ...bytes(latin1.slice(mark.start, mark.end))),
    ...bytes(latin1.slice(mark.end)),
  ];
}
