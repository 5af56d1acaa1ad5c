// Rules that did not decide, and why.
import type { SortedFilters } from './candidates.ts';
import { describeFilter } from './filter.ts';
import type { PodFacts, Reason } from './model.ts';
import { patternOf } from './pattern.ts';
import { show } from './show.ts';
import { maxTold, type Statement } from './statement.ts';

/** Later rules that would have said something else. */
export function overruled(later: Statement[], decided: Statement): Reason[] {
  return later.filter((lost) => saysOtherwise(lost, decided)).flatMap((lost) => reasonsOf(lost, decided));
}

function saysOtherwise(statement: Statement, decided: Statement): boolean {
  const patterns = ({ grants }: Statement) =>
    new Set(grants.map(({ containers, nodes }) => JSON.stringify([containers, nodes])));
  return patterns(statement).symmetricDifference(patterns(decided)).size > 0;
}

/** A filter each, so that everyone finds their own. */
function reasonsOf({ rule, because, grants }: Statement, decided: Statement): Reason[] {
  const sentences = rule === 'filter' ? grants.map((grant) => `${grant.because} matches`) : [because];
  const told = sentences.slice(0, maxTold).map((sentence) => `${sentence}; overruled: ${decided.because}`);
  const rest = sentences.length - told.length;
  if (rest > 0) told.push(`${rest} more filters match; overruled: ${decided.because}`);
  return told.map((sentence) => ({ rule, because: sentence }));
}

/** Grants that apply on other nodes than the pod's: they belong to its class all the same. */
export function elsewhere({ rule, grants }: Statement, { nodeName }: PodFacts): Reason[] {
  if (nodeName === undefined) return [];
  const far = grants.filter(({ nodes }) => !nodes.some((node) => patternOf(node)?.matches(nodeName)));
  return far.slice(0, maxTold).map(({ because }) => ({
    rule,
    because: `${because} does not hold here: the pod runs on node ${show(nodeName)}`,
  }));
}

/** Filters that nearly matched: which key failed. */
export function nearMisses({ nearly, others }: SortedFilters): Reason[] {
  const told = nearly.slice(0, maxTold);
  const rest = nearly.length - told.length + others;
  const sentences = told.map(
    ({ filter, failure }) => `${describeFilter(filter)} does not match: ${failure()}`,
  );
  if (rest > 0) {
    const more = told.length > 0 ? 'more ' : '';
    sentences.push(rest === 1 ? `1 ${more}filter does not match` : `${rest} ${more}filters do not match`);
  }
  return sentences.map((because) => ({ rule: 'filter', because }));
}
