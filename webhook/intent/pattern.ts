// The value of a filter key: globs separated by commas, any of which may match, or one glob negated by a leading `!`.
import { compileGlob, GlobMistake } from './glob.ts';

export interface Pattern {
  /** Trimmed, as written; the alternatives joined by commas. */
  source: string;
  alternatives: string[];
  matches(text: string): boolean;
}

const maxAlternatives = 64;

/** Throws GlobMistake. */
export function parsePattern(value: string): Pattern {
  const alternatives = splitList(value).map((part) => part.trim());
  refuseOddLists(alternatives, value);
  const matchers = alternatives.map(matcherOf);
  return {
    source: alternatives.join(','),
    alternatives,
    matches: (text) => matchers.some((matches) => matches(text)),
  };
}

function refuseOddLists(alternatives: string[], value: string): void {
  if (value.trim() === '')
    throw new GlobMistake('it is empty', "Write '*' for any text, or leave the key out");
  if (alternatives.length > maxAlternatives) {
    throw new GlobMistake(
      `it lists ${alternatives.length} patterns, and ${maxAlternatives} are the most`,
      "Write several filters, or patterns such as 'shop-*'",
    );
  }
  if (alternatives.includes('')) {
    throw new GlobMistake(
      'nothing stands before or after one of its commas',
      "Write a list such as 'a,b', or \\, for the character itself",
    );
  }
  if (alternatives.length > 1 && alternatives.some((part) => part.startsWith('!'))) {
    const plain = alternatives.map((part) => part.replace(/^!+\s*/, '')).join(',');
    throw new GlobMistake(
      '! negates a single pattern, not one of a list',
      `Write '!{${plain}}' for none of them, or a list without !`,
    );
  }
}

function matcherOf(alternative: string): (text: string) => boolean {
  if (!alternative.startsWith('!')) return compileGlob(alternative);
  const rest = alternative.slice(1).trim();
  if (rest === '')
    throw new GlobMistake('nothing follows the !', "Write what to leave out, such as '!kube-*'");
  if (rest.startsWith('!')) {
    throw new GlobMistake(
      'it begins with more than one !',
      'Write one ! to negate, or \\! for the character itself',
    );
  }
  const matches = compileGlob(rest);
  return (text) => !matches(text);
}

/** Splits at commas outside brackets and braces. */
function splitList(value: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let depth = 0;
  for (let at = 0; at < value.length; at++) {
    const character = value.charAt(at);
    if (character === '\\') at++;
    else if (character === '[') at = endOfSet(value, at);
    else if (character === '{') depth++;
    else if (character === '}') depth--;
    else if (character === ',' && depth <= 0) {
      parts.push(value.slice(start, at));
      start = at + 1;
    }
  }
  return [...parts, value.slice(start)];
}

function endOfSet(value: string, start: number): number {
  for (let at = start + 1; at < value.length; at++) {
    if (value.charAt(at) === '\\') at++;
    else if (value.charAt(at) === ']') return at;
  }
  return value.length;
}

// Grants and metas hold patterns as text, and the same few are asked of thousands of pods.
const compiled = new Map<string, Pattern | undefined>();
const maxCompiled = 2048;
/** Of a value with all its alternatives. */
export const maxValueLength = 4096;

/** The pattern of a text that was checked before; undefined when it is none (somebody wrote the ConfigMap by hand). */
export function patternOf(source: string): Pattern | undefined {
  if (source.length > maxValueLength) return undefined;
  if (compiled.has(source)) return compiled.get(source);
  if (compiled.size >= maxCompiled) compiled.clear();
  const pattern = tryPattern(source);
  compiled.set(source, pattern);
  return pattern;
}

function tryPattern(source: string): Pattern | undefined {
  try {
    return parsePattern(source);
  } catch (error) {
    if (error instanceof GlobMistake) return undefined;
    throw error;
  }
}
