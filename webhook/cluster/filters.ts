import { noFilters, parseFilters } from '../intent/filters.ts';
import type { ConfigMap } from './configmap.ts';
import type { FiltersState } from './view.ts';

export const FILTERS_NAME = 'podmirror-filters';
export const FILTERS_KEY = 'filters.yaml';

/** Refused filters count as none at all, and their problems are kept to be told: deterministic, and closed. */
export function filtersStateOf(configMap: ConfigMap | undefined): FiltersState {
  if (!configMap) return { filters: noFilters, problems: [], present: false };
  const yaml = configMap.data[FILTERS_KEY];
  if (yaml === undefined) {
    const keys = Object.keys(configMap.data).slice(0, 5).join(', ') || 'none';
    const problem = {
      where: `data.${FILTERS_KEY}`,
      wrong: `is missing (keys found: ${keys})`,
      instead: `Write the filters under the key ${FILTERS_KEY}`,
    };
    return { filters: noFilters, problems: [problem], present: true };
  }
  const { filters, problems } = parseFilters(yaml);
  return { filters: filters ?? noFilters, problems, present: true };
}
