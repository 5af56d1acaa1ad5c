// Globs over cgroup paths and unit names.
import picomatch from 'picomatch';

/**
 * A predicate for one pattern: `*` stays inside a path segment, `**` crosses them, plain text matches itself
 * even where it holds characters that mean something in a glob (systemd writes `\x2d` into unit names).
 * Throws when brackets are not balanced.
 */
export function globMatcher(pattern: string): (text: string) => boolean {
  const matches = picomatch(pattern, { dot: true, nonegate: true, strictBrackets: true });
  return (text) => text === pattern || matches(text);
}

/** What is wrong with a pattern and what to write, or undefined when nothing is. */
export function patternMistake(pattern: string): string | undefined {
  if (pattern.length > maxPatternLength)
    return `longer than ${maxPatternLength} characters. Write a shorter one`;
  if (pattern.startsWith('!')) return 'there is no negation here. Write the ones you want, one target each';
  if ((pattern.match(/\*+/g) ?? []).length > maxStars) {
    return `more than ${maxStars} stars. Write two patterns instead`;
  }
  try {
    globMatcher(pattern);
    return undefined;
  } catch {
    return 'brackets are not balanced. Close them, or write \\ before one that is part of the name';
  }
}

// A path in the cgroup tree is at most 4096 bytes; patterns of people are short. Stars multiply the work of a match.
const maxPatternLength = 1024;
const maxStars = 8;
