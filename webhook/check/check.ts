// New filters, before they are applied: what the webhook would say of them, and what would change.
import { filterWarnings } from '../admission/validate/filter-warnings.ts';
import { readFiltersObject } from '../admission/validate/filters.ts';
import type { ClusterView } from '../cluster/view.ts';
import { renderProblem } from '../intent/filters.ts';
import { type Difference, differenceOf } from './difference.ts';
import type { FiltersFile } from './filters-file.ts';

export interface Check {
  /** Not empty: the webhook would refuse the file. */
  problems: string[];
  warnings: string[];
  /** Of the comparison, such as that the filters in force are refused. */
  notes: string[];
  /** null: refused, or compared with nothing. */
  difference: Difference | null;
}

/** `view` undefined: only the file itself is looked at. */
export function checkFilters({ configMap, warnings }: FiltersFile, view: ClusterView | undefined): Check {
  const { filters, problems } = readFiltersObject(configMap);
  if (!filters) return { problems: problems.map(renderProblem), warnings, notes: [], difference: null };
  return {
    problems: [],
    warnings: [...warnings, ...filterWarnings(filters, view ?? nothingKnown)],
    notes: view ? notesOn(view) : [],
    difference: view ? differenceOf(view, filters) : null,
  };
}

const nothingKnown = {
  settings: { labelKey: '', annotationKey: '', ownNamespace: '', excludedNamespaces: [] },
  namespaces: () => [],
  pods: () => [],
  synced: () => false,
};

function notesOn(view: ClusterView): string[] {
  const { problems, present } = view.filters();
  if (!present) return ['there are no filters now: the comparison is with none'];
  const [problem] = problems;
  if (!problem) return [];
  return [
    `the filters that stand there are refused, so the comparison is with none (${renderProblem(problem)})`,
  ];
}
