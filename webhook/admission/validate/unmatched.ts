// A filter that matches no pod now: which of its keys is in the way, and what was probably meant.
import type { Filter } from '../../intent/filters.ts';
import type { PodFacts } from '../../intent/model.ts';
import { nearest } from '../../intent/near-miss.ts';
import { renderPath } from '../../intent/problem.ts';
import { listed, show } from '../../intent/show.ts';
import { type FilterKey, holds, keysOf, plainNames } from './filter-keys.ts';

/** What pods have at the one key that does not hold, when all others do. */
interface Miss {
  key: FilterKey;
  values: Set<string>;
  neighbours: Set<string>;
}

// Enough to find a near word among; pod names differ in each pod.
const maxValues = 500;
const maxListed = 3;

/** undefined: some pod matches. */
export function unmatchedWarning(filter: Filter, pods: Iterable<PodFacts>): string | undefined {
  const misses = missesOf(filter, pods);
  if (misses === undefined) return undefined;
  const where = (path: readonly string[]) => renderPath(['filters', filter.number - 1, ...path]);
  for (const { key, values, neighbours } of misses) {
    const meant = meantInstead(key, values, neighbours);
    if (meant !== undefined) return `${where(key.path)}: ${meant}`;
  }
  const [miss] = misses;
  if (miss === undefined)
    return `${where([])}: no pod matches it now. Compare it with kubectl get pods -A --show-labels`;
  const has =
    miss.values.size === 0 ? 'do not have it' : `have ${listed([...miss.values].map(show), maxListed)}`;
  return `${where(miss.key.path)}: no pod matches ${show(miss.key.pattern.source)} now; pods that fit otherwise ${has}. Write what they have, unless such pods come later`;
}

/** undefined as soon as a pod matches. */
function missesOf(filter: Filter, pods: Iterable<PodFacts>): Miss[] | undefined {
  const keys = keysOf(filter);
  const misses = new Map<FilterKey, Miss>();
  for (const pod of pods) {
    const failing = failingOf(keys, pod);
    const [key] = failing;
    if (key === undefined) return undefined;
    if (failing.length > 1) continue;
    const miss = misses.get(key) ?? { key, values: new Set(), neighbours: new Set() };
    misses.set(key, miss);
    addSome(miss.values, key.valuesOf(pod));
    addSome(miss.neighbours, key.neighboursOf?.(pod) ?? []);
  }
  return [...misses.values()];
}

/** Stops after two: only a filter that fails in one key is worth a suggestion. */
function failingOf(keys: readonly FilterKey[], pod: PodFacts): FilterKey[] {
  const failing: FilterKey[] = [];
  for (const key of keys) {
    if (holds(key, pod)) continue;
    failing.push(key);
    if (failing.length === 2) break;
  }
  return failing;
}

function addSome(set: Set<string>, words: readonly string[]): void {
  for (const word of words) if (set.size < maxValues) set.add(word);
}

function meantInstead(
  { path, pattern }: FilterKey,
  values: Set<string>,
  neighbours: Set<string>,
): string | undefined {
  for (const name of plainNames(pattern)) {
    const near = nearest(name, [...values]);
    if (near !== undefined)
      return `no pod matches ${show(pattern.source)} now. Write ${show(near)}, unless such pods come later`;
  }
  const key = path[1];
  if (key === undefined || values.size > 0) return undefined;
  const near = nearest(key, [...neighbours]);
  return near && `no pod has ${show(key)} now. Write ${show(near)}, unless such pods come later`;
}
