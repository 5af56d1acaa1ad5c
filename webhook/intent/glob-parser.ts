// A pattern in pieces, its braces written out: `{a,b}-*` is `a-*` and `b-*`.
import { GlobMistake } from './glob-mistake.ts';

/** Ranges of UTF-16 code units; `?` is the set that excludes nothing. */
export interface CharacterSet {
  negated: boolean;
  ranges: [from: number, to: number][];
}

/** A string is one character that stands for itself, null is a star. */
export type Token = string | CharacterSet | null;
export type Tokens = Token[];

/** The first number of stars that is refused. */
export const tooManyStars = 20;
// Braces multiply; the work of a match grows with what they stand for.
const maxExpandedLength = 1024;

/** The patterns that one pattern stands for. Throws GlobMistake. */
export function parseGlob(pattern: string): Tokens[] {
  return new GlobParser(pattern).parse();
}

class GlobParser {
  private at = 0;
  private stars = 0;
  private readonly pattern: string;

  constructor(pattern: string) {
    this.pattern = pattern;
  }

  parse(): Tokens[] {
    const expansions = this.sequence(false);
    if (this.at < this.pattern.length) throw unbalanced('}');
    if (expansions.every((tokens) => tokens.length === 0)) {
      throw new GlobMistake('it is empty', "Write '*' for any text, or leave the key out");
    }
    return expansions;
  }

  /** Up to the end, or inside braces up to the comma or brace that ends an alternative. */
  private sequence(inBraces: boolean): Tokens[] {
    let expansions: Tokens[] = [[]];
    while (this.at < this.pattern.length) {
      const character = this.pattern.charAt(this.at);
      if (character === '}' || (inBraces && character === ',')) return expansions;
      this.at++;
      const tails = character === '{' ? this.braces() : [[this.token(character)]];
      refuseTooManyExpansions(expansions, tails);
      expansions = expansions.flatMap((head) => tails.map((tail) => [...head, ...tail]));
    }
    return expansions;
  }

  private token(character: string): Token {
    switch (character) {
      case '*':
        if (++this.stars < tooManyStars) return null;
        throw new GlobMistake(
          `it has ${tooManyStars} stars or more`,
          `Write a pattern with fewer than ${tooManyStars}`,
        );
      case '?':
        return { negated: true, ranges: [] };
      case '[':
        return this.set();
      case ']':
        throw unbalanced(']');
      case '(':
      case ')':
      case '|':
        throw new GlobMistake(
          `${character} means nothing in these patterns`,
          `Write '{a,b}' for one of several, or \\${character} for the character itself`,
        );
      case '\\':
        return this.escaped();
      default:
        return character;
    }
  }

  private escaped(): string {
    const character = this.pattern.charAt(this.at++);
    if (character === '')
      throw new GlobMistake('nothing follows its last \\', 'Write \\\\ for the character \\');
    return character;
  }

  private braces(): Tokens[] {
    const start = this.at;
    const alternatives = [this.sequence(true)];
    while (this.pattern.charAt(this.at) === ',') {
      this.at++;
      alternatives.push(this.sequence(true));
    }
    if (this.pattern.charAt(this.at++) !== '}') throw unbalanced('{');
    if (alternatives.length === 1) throw lonelyBraces(this.pattern.slice(start, this.at - 1));
    return alternatives.flat();
  }

  private set(): CharacterSet {
    const negated = /[!^]/.test(this.pattern.charAt(this.at));
    if (negated) this.at++;
    const ranges: [number, number][] = [];
    while (this.pattern.charAt(this.at) !== ']') {
      const from = this.member();
      const isRange = this.pattern.charAt(this.at) === '-' && this.pattern.charAt(this.at + 1) !== ']';
      if (isRange) this.at++;
      const to = isRange ? this.member() : from;
      if (from > to) {
        const [low, high] = [String.fromCharCode(to), String.fromCharCode(from)];
        throw new GlobMistake(`the range ${high}-${low} runs backwards`, `Write ${low}-${high}`);
      }
      ranges.push([from, to]);
    }
    this.at++;
    if (ranges.length === 0) {
      throw new GlobMistake(
        'nothing stands between [ and ]',
        "Write a set such as '[a-z]', or \\[ for the character [",
      );
    }
    return { negated, ranges };
  }

  /** One end of a range. */
  private member(): number {
    const character = this.pattern.charAt(this.at++);
    if (character === '') throw unbalanced('[');
    if (character === '[' && this.pattern.charAt(this.at) === ':') {
      throw new GlobMistake(
        'classes such as [:alpha:] are not known here',
        "Write ranges such as '[a-z0-9]'",
      );
    }
    return (character === '\\' ? this.escaped() : character).charCodeAt(0);
  }
}

function refuseTooManyExpansions(heads: Tokens[], tails: Tokens[]): void {
  // One more for each, so that empty alternatives count too.
  const [head, tail] = [heads, tails].map((all) => all.reduce((sum, tokens) => sum + tokens.length + 1, 0));
  if ((head ?? 0) * tails.length + (tail ?? 0) * heads.length <= 2 * maxExpandedLength) return;
  throw new GlobMistake(
    'its braces stand for too many patterns',
    'Write fewer alternatives, or several filters, one for each part',
  );
}

function unbalanced(bracket: '[' | ']' | '{' | '}'): GlobMistake {
  const opens = bracket === '[' || bracket === '{';
  const partner = { '[': ']', ']': '[', '{': '}', '}': '{' }[bracket];
  return new GlobMistake(
    `its ${bracket} is not ${opens ? 'closed' : 'opened'}`,
    `Write ${partner} where it ${opens ? 'ends' : 'begins'}, or \\${bracket} for the character itself`,
  );
}

function lonelyBraces(text: string): GlobMistake {
  const inside = text.trim();
  if (inside === '') {
    return new GlobMistake(
      'nothing stands between { and }',
      "Write alternatives such as '{a,b}', or leave the braces out",
    );
  }
  if (inside.includes('..')) {
    return new GlobMistake(
      `ranges such as {${inside}} are not known here`,
      "Write '[0-9]' for a digit, or '{8,9,10}'",
    );
  }
  return new GlobMistake(
    `{${inside}} has one alternative only`,
    `Write '${inside}' without braces, or '{${inside},other}'`,
  );
}
