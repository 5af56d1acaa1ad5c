// Who is mirrored, and why.
import { sortFilters } from './candidates.ts';
import type { Filter, Filters } from './filters.ts';
import { elsewhere, nearMisses, overruled } from './lost.ts';
import { failuresOf } from './match.ts';
import type { NamespaceFacts, PodFacts, Settings, Verdict } from './model.ts';
import { mootFilters } from './moot.ts';
import { nothingAsked, statementsOf } from './statement.ts';
import { misplacedSwitches, namespaceSwitch, podSwitch } from './switch.ts';

export interface IntentInput {
  pod: PodFacts;
  /** undefined: not known (yet); then nothing is mirrored. */
  namespace: NamespaceFacts | undefined;
  filters: Filters;
  settings: Settings;
}

/** Total. Pods of one class get the same grants, but for filters that name an ephemeral container of one of them. */
export function resolveIntent({ pod, namespace, filters, settings }: IntentInput): Verdict {
  const label = namespace && namespaceSwitch(namespace, settings.labelKey);
  const annotation = podSwitch(pod, settings.annotationKey);
  const sorted = sortFilters(filters.items, pod);
  const matching = deciding(sorted.matching, filters, pod);
  const asked = { label, annotation, matching };
  const statements = statementsOf(pod.namespace, asked, filters, settings);
  const [decided = nothingAsked(asked, filters), ...later] = statements;
  const { rule, because, grants } = decided;
  const mirrored = grants.length > 0;
  // Where a switch decides, no filter would have made a difference.
  const filtersCount = rule === 'filter' || rule === 'all-namespaces' || rule === 'nothing-asked';
  return {
    mirrored,
    rule,
    because,
    grants,
    lost: [
      ...overruled(later, decided),
      ...elsewhere(decided, pod),
      ...(filtersCount ? nearMisses(sorted) : []),
    ],
    warnings: [
      ...[label?.warning, annotation.warning].filter((warning) => warning !== undefined),
      ...mootFilters(decided, matching, filters, pod.namespace),
      ...(mirrored ? [] : misplacedSwitches(pod, settings)),
    ],
  };
}

/**
 * Where everything is mirrored anyhow, an ephemeral container does not make a filter match that matched nothing of the
 * pod before: a debugger that comes must not end the mirroring of the containers that are there.
 */
function deciding(matching: Filter[], { allNamespaces }: Filters, pod: PodFacts): Filter[] {
  if (!allNamespaces || pod.ephemeralContainers.length === 0) return matching;
  const without = { ...pod, ephemeralContainers: [] };
  return matching.some((filter) => failuresOf(filter, without).length === 0) ? matching : [];
}
