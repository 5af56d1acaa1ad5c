// Shows bytes (one character each, ISO 8859-1) as text: valid UTF-8 is read, everything unprintable is escaped.

const utf8 = new TextDecoder('utf-8', { fatal: true });
// Controls but the line feed and the tab, invisible and direction-changing characters, lone surrogates.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const unprintable = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/u;

/** `[{text, escaped}]`: plain stretches and escapes such as `\x00`. */
export function piecesOf(latin1) {
  const pieces = [];
  const add = (text, escaped) => {
    const last = pieces.at(-1);
    if (last?.escaped === escaped) last.text += text;
    else pieces.push({ text, escaped });
  };
  for (let index = 0; index < latin1.length; ) {
    const length = charLength(latin1, index);
    const raw = latin1.slice(index, index + Math.max(1, length));
    const char = length === 0 ? undefined : utf8.decode(bytesOf(raw));
    if (char === undefined || unprintable.test(char)) add(escapeBytes(raw), true);
    else add(char, false);
    index += raw.length;
  }
  return pieces;
}

/** Bytes of the UTF-8 character at `index`; 0: there is none. */
function charLength(latin1, index) {
  const first = latin1.charCodeAt(index);
  const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  try {
    utf8.decode(bytesOf(latin1.slice(index, index + length)));
    return length;
  } catch {
    return 0;
  }
}

const bytesOf = (latin1) => Uint8Array.from(latin1, (char) => char.charCodeAt(0));

const escapeBytes = (latin1) =>
  Array.from(latin1, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`).join('');
