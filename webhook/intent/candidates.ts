// The filters, sorted by how near they come to a pod.
import type { Filter } from './filter.ts';
import { type Failure, failuresOf } from './match.ts';
import type { PodFacts } from './model.ts';

export interface SortedFilters {
  matching: Filter[];
  /** All keys but one hold. */
  nearly: { filter: Filter; failure: Failure }[];
  others: number;
}

export function sortFilters(items: Filter[], pod: PodFacts): SortedFilters {
  const sorted: SortedFilters = { matching: [], nearly: [], others: 0 };
  for (const filter of items) {
    const [failure, another] = failuresOf(filter, pod);
    if (failure === undefined) sorted.matching.push(filter);
    else if (another === undefined) sorted.nearly.push({ filter, failure });
    else sorted.others++;
  }
  sorted.nearly.sort((a, b) => keysOf(b.filter) - keysOf(a.filter));
  return sorted;
}

/** The more keys of a filter hold while one fails, the nearer it was. */
export function keysOf({ podLabels, podAnnotations, ...filter }: Filter): number {
  const single = [filter.namespace, filter.podName, filter.containerName, filter.nodeName];
  return podLabels.length + podAnnotations.length + single.filter((key) => key !== undefined).length;
}
