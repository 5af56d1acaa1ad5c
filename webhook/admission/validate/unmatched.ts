// A filter that matches no pod now: which of its keys is in the way, and what was probably meant.
import type { Filter } from '../../intent/filters.ts';
import type { PodFacts } from '../../intent/model.ts';
import { type Comparisons, createNearest } from '../../intent/near-miss.ts';
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

/** undefined: some pod matches, or there are more pods than may be compared. */
export function unmatchedWarning(
  filter: Filter,
  pods: Iterable<PodFacts>,
  comparisons: Comparisons,
): string | undefined {
  const misses = missesOf(filter, pods, comparisons);
  if (misses === undefined) return undefined;
  const where = (path: readonly string[]) => renderPath(['filters', filter.number - 1, ...path]);
  for (const { key, values, neighbours } of misses) {
    const meant = meantInstead(key, values, neighbours, comparisons);
    if (meant !== undefined) return `${where(key.path)}: ${meant}`;
  }
  const [miss] = misses;
  if (miss === undefined)
    return `${where([])}: no pod matches it now. Compare it with kubectl get pods -A --show-labels`;
  const has =
    miss.values.size === 0 ? 'do not have it' : `have ${listed([...miss.values].map(show), maxListed)}`;
  return `${where(miss.key.path)}: no pod matches ${show(miss.key.pattern.source)} now; pods that fit otherwise ${has}. Write what they have, unless such pods come later`;
}

/** undefined as soon as a pod matches or nothing is left to spend. */
function missesOf(filter: Filter, pods: Iterable<PodFacts>, comparisons: Comparisons): Miss[] | undefined {
  const keys = keysOf(filter);
  const misses = new Map<FilterKey, Miss>();
  for (const pod of pods) {
    const failing = failingOf(keys, pod, comparisons);
    if (comparisons.left < 0) return undefined;
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
function failingOf(keys: readonly FilterKey[], pod: PodFacts, comparisons: Comparisons): FilterKey[] {
  const failing: FilterKey[] = [];
  for (const key of keys) {
    comparisons.left -= key.pattern.alternatives.length;
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
  comparisons: Comparisons,
): string | undefined {
  const nearValue = createNearest([...values], comparisons);
  for (const name of plainNames(pattern)) {
    const near = nearValue(name);
    if (near !== undefined)
      return `no pod matches ${show(pattern.source)} now. Write ${show(near)}, unless such pods come later`;
  }
  const key = path[1];
  if (key === undefined || values.size > 0) return undefined;
  const near = createNearest([...neighbours], comparisons)(key);
  return near && `no pod has ${show(key)} now. Write ${show(near)}, unless such pods come later`;
}
