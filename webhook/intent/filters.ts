// filters.yaml: what is mirrored beyond labels and annotations.
import { createHash } from 'node:crypto';
import type { Filter } from './filter.ts';
import { readFilterDocument } from './filter-schema.ts';
import { bounded, type Problem } from './problem.ts';
import { readYaml } from './yaml-source.ts';

export { describeFilter, type Filter } from './filter.ts';
export { type Problem, renderProblem } from './problem.ts';

export interface Filters {
  allNamespaces: boolean;
  items: Filter[];
  /** Of the content, however it is written: quotes, blanks and the order of keys do not count; that of items does. */
  hash: string;
}

export type ParsedFilters = { filters: Filters; problems: [] } | { filters: null; problems: Problem[] };

/** Never throws. Empty text is no filters; one problem anywhere and nothing of it counts. */
export function parseFilters(yaml: string): ParsedFilters {
  const source = readYaml(yaml);
  if (source.problems.length > 0) return { filters: null, problems: bounded(source.problems) };
  const problems: Problem[] = [];
  const { allNamespaces, items } = readFilterDocument(source.value, problems);
  if (problems.length > 0) return { filters: null, problems: bounded(problems) };
  return { filters: { allNamespaces, items, hash: hashOf(allNamespaces, items) }, problems: [] };
}

function hashOf(allNamespaces: boolean, items: Filter[]): string {
  const canonical = JSON.stringify([allNamespaces, items], (key, value) => {
    if (key === 'alternatives' || key === 'number') return undefined;
    return value;
  });
  return createHash('sha256').update(canonical).digest('hex').slice(0, 16);
}

export const noFilters: Filters = { allNamespaces: false, items: [], hash: hashOf(false, []) };
