// The ConfigMap podmirror-filters is written: refused with every problem, or taken with what was surely not meant.
import { FILTERS_KEY, FILTERS_NAME } from '../../cluster/filters.ts';
import type { ClusterView } from '../../cluster/view.ts';
import { type Filters, type Problem, parseFilters } from '../../intent/filters.ts';
import { nearest } from '../../intent/near-miss.ts';
import { listed, show } from '../../intent/show.ts';
import { allowedWith, type Decision } from '../decision.ts';
import { isBlock, valueAt } from '../object.ts';
import type { AdmissionRequest } from '../review.ts';
import { filterWarnings } from './filter-warnings.ts';

export type FiltersView = Pick<ClusterView, 'settings' | 'namespaces' | 'pods' | 'synced'>;

export function isFilters(
  { namespace, name, operation, object, oldObject }: AdmissionRequest,
  { settings }: Pick<ClusterView, 'settings'>,
): boolean {
  // The request has no name when all ConfigMaps are deleted at once, and then no object either.
  const about = operation === 'DELETE' ? oldObject : object;
  const named = name === '' ? valueAt(about, ['metadata', 'name']) : name;
  return namespace === settings.ownNamespace && named === FILTERS_NAME;
}

export function validateFilters(request: AdmissionRequest, view: FiltersView): Decision {
  if (request.operation === 'DELETE') return allowedWith(deletionWarnings(request.oldObject));
  const { filters, problems } = readFiltersObject(request.object);
  if (filters) return allowedWith(filterWarnings(filters, view));
  const subject = `ConfigMap ${view.settings.ownNamespace}/${FILTERS_NAME}`;
  return { patch: [], warnings: [], denial: { because: 'content', subject, problems } };
}

type ReadFilters = { filters: Filters; problems: [] } | { filters: null; problems: Problem[] };

/** With every problem that the webhook would refuse it for. */
export function readFiltersObject(object: unknown): ReadFilters {
  const data = valueAt(object, ['data']);
  const others = isBlock(data) ? Object.keys(data).filter((key) => key !== FILTERS_KEY) : [];
  const yaml = valueAt(data, [FILTERS_KEY]);
  if (typeof yaml !== 'string') {
    const near = nearest(FILTERS_KEY, others);
    const strange = strangeKeys(others.filter((key) => key !== near));
    return { filters: null, problems: [missingKey(near), ...strange, ...binaryKeys(object)] };
  }
  const around = [...strangeKeys(others), ...binaryKeys(object)];
  const { filters, problems } = parseFilters(yaml);
  if (filters && around.length === 0) return { filters, problems: [] };
  return { filters: null, problems: [...problems, ...around] };
}

const example = `${FILTERS_KEY}: |`;

function missingKey(near: string | undefined): Problem {
  const instead =
    near === undefined
      ? `Write ${example} and the filters below it; filters: [] for none`
      : `Write ${FILTERS_KEY} instead of ${show(near)}`;
  return { where: `data[${FILTERS_KEY}]`, wrong: 'it is missing', instead };
}

/** Somebody thinks that they are read. */
function strangeKeys(strange: readonly string[]): Problem[] {
  if (strange.length === 0) return [];
  const wrong = `nothing reads ${listed(strange.map(show), 5)}`;
  return [{ where: 'data', wrong, instead: `Write everything in ${FILTERS_KEY} and remove other keys` }];
}

function binaryKeys(object: unknown): Problem[] {
  const binary = valueAt(object, ['binaryData']);
  if (!isBlock(binary) || Object.keys(binary).length === 0) return [];
  const wrong = `nothing reads ${listed(Object.keys(binary).map(show), 5)} there`;
  const instead = `Write the filters as UTF-8 text in data[${FILTERS_KEY}] and remove binaryData`;
  return [{ where: 'binaryData', wrong, instead }];
}

function deletionWarnings(oldObject: unknown): string[] {
  const yaml = valueAt(oldObject, ['data', FILTERS_KEY]);
  const { filters } = parseFilters(typeof yaml === 'string' ? yaml : '');
  if (!filters || (filters.items.length === 0 && !filters.allNamespaces)) return [];
  const lost = filters.allNamespaces ? 'allNamespaces' : quantity(filters.items.length);
  return [
    `${FILTERS_NAME} is gone, and ${lost} with it: only namespace labels and pod annotations choose what is mirrored now. Create it again to have it back`,
  ];
}

function quantity(count: number): string {
  return count === 1 ? 'its filter' : `its ${count} filters`;
}
