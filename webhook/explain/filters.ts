import type { FiltersState } from '../cluster/view.ts';
import { renderProblem } from '../intent/filters.ts';
import type { FiltersSummary } from './explanation.ts';

export function filtersSummary({ present, problems }: FiltersState): FiltersSummary {
  return { present, problems: problems.map(renderProblem) };
}
