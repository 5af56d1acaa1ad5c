// Text as a rule may have seen it, with the way back to the bytes as sent.

export interface View {
  text: string;
  /** Where in the original each character of `text` begins, and where it ends. */
  starts: readonly number[];
  ends: readonly number[];
}

// Nobody decodes more often; double encoding is the usual trick.
const maxPasses = 3;

/** The text itself, then percent-decoded once, twice, three times, as long as that changes something. */
export function* decodings(text: string): Generator<View> {
  const starts = Array.from(text, (_, index) => index);
  let view: View = { text, starts, ends: starts.map((start) => start + 1) };
  yield view;
  for (let pass = 0; pass < maxPasses; pass++) {
    const next = percentDecode(view);
    if (next.text === view.text) return;
    view = next;
    yield view;
  }
}

/** Offsets in the original, `end` exclusive. Case does not count, and `\` is `/`, as for most rules. */
export function findIn(
  { text, starts, ends }: View,
  needle: string,
): { start: number; end: number } | undefined {
  const at = fold(text).indexOf(fold(needle));
  const [start, end] = at === -1 ? [] : [starts[at], ends[at + needle.length - 1]];
  return start === undefined || end === undefined ? undefined : { start, end };
}

// What CRS's cmdLine takes out or turns into a blank, and blanks themselves.
const removable = /[\s\\"'^,;]/;

/** The same text as cmdLine and its like leave it. */
export function squeezed({ text, starts, ends }: View): View {
  const kept = Array.from(text, (_, index) => index).filter((index) => !removable.test(text[index] ?? ''));
  return {
    text: kept.map((index) => text[index]).join(''),
    starts: kept.map((index) => starts[index] ?? 0),
    ends: kept.map((index) => ends[index] ?? 0),
  };
}

export const squeezedText = (text: string): string => text.replace(new RegExp(removable, 'g'), '');

/** ASCII only: the length must not change. */
const fold = (text: string): string =>
  text.replace(/[A-Z\\]/g, (char) => (char === '\\' ? '/' : char.toLowerCase()));

function percentDecode({ text, starts, ends }: View): View {
  const decoded = { text: '', starts: [] as number[], ends: [] as number[] };
  for (let index = 0; index < text.length; ) {
    const char = text[index] ?? '';
    const hex = char === '%' ? text.slice(index + 1, index + 3) : '';
    const isEscape = /^[0-9a-f]{2}$/i.test(hex);
    const next = index + (isEscape ? 3 : 1);
    decoded.text += isEscape ? String.fromCharCode(Number.parseInt(hex, 16)) : char === '+' ? ' ' : char;
    decoded.starts.push(starts[index] ?? 0);
    decoded.ends.push(ends[next - 1] ?? 0);
    index = next;
  }
  return decoded;
}
