// What stands between two stars of a pattern.
import type { CharacterSet, Token, Tokens } from './glob-parser.ts';

/** A stretch between stars: it matches texts of one length only, so it is found from left to right without going back. */
export interface Segment {
  length: number;
  isAt(text: string, index: number): boolean;
  /** The first place from `from` on, or -1. */
  find(text: string, from: number): number;
}

export function segmentsOf(tokens: Tokens): Segment[] {
  const stretches: Exclude<Token, null>[][] = [[]];
  for (const token of tokens) {
    if (token === null) stretches.push([]);
    else stretches.at(-1)?.push(token);
  }
  return stretches.map((stretch) => {
    const literal = stretch.every((token) => typeof token === 'string');
    return literal ? literalSegment(stretch.join('')) : mixedSegment(stretch);
  });
}

function literalSegment(literal: string): Segment {
  return {
    length: literal.length,
    isAt: (text, index) => text.startsWith(literal, index),
    find: (text, from) => text.indexOf(literal, from),
  };
}

function mixedSegment(stretch: Exclude<Token, null>[]): Segment {
  const { length } = stretch;
  const isAt = (text: string, index: number) => {
    return (
      index + length <= text.length && stretch.every((token, offset) => accepts(token, text, index + offset))
    );
  };
  const find = (text: string, from: number) => {
    for (let index = from; index + length <= text.length; index++) if (isAt(text, index)) return index;
    return -1;
  };
  return { length, isAt, find };
}

function accepts(token: string | CharacterSet, text: string, index: number): boolean {
  if (typeof token === 'string') return text.charAt(index) === token;
  const unit = text.charCodeAt(index);
  return token.ranges.some(([from, to]) => from <= unit && unit <= to) !== token.negated;
}
