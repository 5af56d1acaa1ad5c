// One item of the filters: all its keys must hold.
import type { Pattern } from './pattern.ts';

export type KeyPattern = readonly [key: string, pattern: Pattern];

export interface Filter {
  /** Its place in the list, counted from 1 as people do. */
  number: number;
  namespace: Pattern | undefined;
  /** Sorted by key; every pair must hold. */
  podLabels: KeyPattern[];
  podAnnotations: KeyPattern[];
  podName: Pattern | undefined;
  containerName: Pattern | undefined;
  nodeName: Pattern | undefined;
}

// It travels in every entry of the ConfigMap.
const maxDescription = 300;

/** "filter 2 (namespace shop-*, pod label team=backend,ops)". */
export function describeFilter(filter: Filter): string {
  const parts = [
    ...one('namespace', filter.namespace),
    ...pairs('pod label', filter.podLabels),
    ...pairs('pod annotation', filter.podAnnotations),
    ...one('pod', filter.podName),
    ...one('container', filter.containerName),
    ...one('node', filter.nodeName),
  ].join(', ');
  const cut = parts.length > maxDescription ? `${parts.slice(0, maxDescription)}…` : parts;
  return `filter ${filter.number} (${cut})`;
}

// As it begins: alone, behind what is said of it, or as one of several that are joined.
const filterNumber = /(^|[;:,] )filter \d+ \(/g;

/**
 * Whether two sentences of filters are the same rules in the same words. A filter's number is its place in the list: when
 * one before it goes, it is another, and nothing has changed for anybody.
 */
export const saysTheSame = (a: string, b: string): boolean =>
  a === b || withoutNumbers(a) === withoutNumbers(b);

/** "filter (namespace shop-*, pod label team=backend,ops)". */
export const withoutNumbers = (sentence: string): string => sentence.replace(filterNumber, '$1filter (');

function one(word: string, pattern: Pattern | undefined): string[] {
  return pattern ? [`${word} ${plain(pattern.source)}`] : [];
}

function pairs(word: string, patterns: KeyPattern[]): string[] {
  return patterns.map(([key, pattern]) => `${word} ${key}=${plain(pattern.source)}`);
}

/** Patterns are text of an administrator, but sentences stay on one line. */
function plain(source: string): string {
  return source.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ');
}
