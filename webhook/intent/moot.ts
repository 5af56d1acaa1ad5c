// Filters that do less, or more, than whoever wrote them surely meant.
import { keysOf } from './candidates.ts';
import { describeFilter, type Filter } from './filter.ts';
import type { Filters } from './filters.ts';
import { maxTold, type Statement } from './statement.ts';

/** Filters that somebody wrote to mirror less than another rule mirrors. */
export function mootFilters(
  decided: Statement,
  matching: Filter[],
  filters: Filters,
  namespace: string,
): string[] {
  const told = (moot: Filter[], why: string) => {
    return moot.slice(0, maxTold).map((filter) => `${describeFilter(filter)} ${why}`);
  };
  if (decided.rule === 'namespace-enabled') {
    const moot = filters.items.filter((filter) => {
      return isNarrow(filter) && (matching.includes(filter) || names(filter, namespace));
    });
    return told(
      moot,
      `narrows nothing: ${decided.because}, so all its pods are mirrored. Remove the label or the filter`,
    );
  }
  if (decided.rule === 'filter' && filters.allNamespaces) {
    const narrowing = matching.every(namesPart) ? matching : [];
    return told(
      narrowing,
      'narrows what allNamespaces: true would mirror: only what it names of this pod is mirrored',
    );
  }
  return [];
}

/** By name or a part of it, not as one of all or all but some. */
function names(filter: Filter, namespace: string): boolean {
  const { alternatives = ['*'], matches } = filter.namespace ?? {};
  return (
    !alternatives.some((each) => each === '*' || each.startsWith('!')) && (matches?.(namespace) ?? false)
  );
}

function isNarrow(filter: Filter): boolean {
  return keysOf(filter) > (filter.namespace ? 1 : 0);
}

function namesPart({ containerName, nodeName }: Filter): boolean {
  return containerName !== undefined || nodeName !== undefined;
}
