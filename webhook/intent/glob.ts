// One glob: `*` any text, `?` any character, `[a-z]` `[!0-9]` a set, `{a,b}` one of several, `\` before a
// character that stands for itself. What is accepted means what it means to picomatch (posix); but no regular expression
// is made of it, because the values come from strangers (an annotation may be 256 KiB) and must not make it backtrack.
import { GlobMistake } from './glob-mistake.ts';
import { parseGlob } from './glob-parser.ts';
import { type Segment, segmentsOf } from './segment.ts';

export { GlobMistake } from './glob-mistake.ts';

export const maxPatternLength = 128;

/** A predicate for a pattern without leading `!`. Throws GlobMistake. Differs from picomatch: `*` matches empty text too. */
export function compileGlob(pattern: string): (text: string) => boolean {
  if (pattern.length > maxPatternLength) {
    throw new GlobMistake(
      `it is ${pattern.length} characters long, and ${maxPatternLength} is the most`,
      "Write a shorter one, with * for a part of it, such as 'shop-*'",
    );
  }
  const expansions = parseGlob(pattern).map(segmentsOf);
  return (text) => expansions.some((segments) => matchesSegments(segments, text));
}

/** The first and last segment are anchored; each between them is taken at its first place, which leaves most for the rest. */
function matchesSegments(segments: Segment[], text: string): boolean {
  const [first, ...rest] = segments;
  const last = rest.pop();
  if (!first?.isAt(text, 0)) return false;
  if (!last) return first.length === text.length;
  const end = text.length - last.length;
  let index = first.length;
  for (const segment of rest) {
    const found = segment.find(text, index);
    if (found < 0) return false;
    index = found + segment.length;
  }
  return index <= end && last.isAt(text, end);
}
