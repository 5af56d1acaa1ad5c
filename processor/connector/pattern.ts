// Regular expressions of the configuration, in RE2's syntax. Attackers choose what they are matched against,
// so the engine is one whose time grows with the length of the text and no faster.
// https://github.com/google/re2/wiki/Syntax
import { RE2JS } from 're2js';

export interface Pattern {
  /** Anywhere in the text, unless the pattern is anchored. `doubt` for text that is too long to tell. */
  finds(text: string, doubt: boolean): boolean;
}

/** The pattern's mistake, in words. */
export class BadPattern extends Error {}

const maxPatternChars = 1000;
// Instructions; the time is at most their number times the length of the text.
const maxProgramSize = 1000;
/** Longer paths and header values are "too long to tell". */
export const maxTextChars = 8192;

/** Throws BadPattern. */
export function compilePattern(source: string, { ignoreCase = false } = {}): Pattern {
  if (source.length > maxPatternChars) throw new BadPattern(`it has more than ${maxPatternChars} characters`);
  const regex = compile(source, ignoreCase);
  if (regex.programSize() > maxProgramSize) {
    throw new BadPattern('it repeats so much that matching would be slow');
  }
  return { finds: (text, doubt) => (text.length > maxTextChars ? doubt : regex.test(text)) };
}

function compile(source: string, ignoreCase: boolean): RE2JS {
  try {
    return RE2JS.compile(source, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
  } catch (cause) {
    const reason = (cause as Error).message.replace(/^error parsing regexp: /, '');
    throw new BadPattern(`no RE2 expression (${reason})`, { cause });
  }
}
