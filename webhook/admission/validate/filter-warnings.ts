// Filters that are legal but surely not meant as they stand, given the cluster as it is now.
import type { ClusterView, KnownPod } from '../../cluster/view.ts';
import type { Filter, Filters } from '../../intent/filters.ts';
import type { NamespaceFacts, Settings } from '../../intent/model.ts';
import { type Comparisons, createNearest } from '../../intent/near-miss.ts';
import { renderPath } from '../../intent/problem.ts';
import { listed, show } from '../../intent/show.ts';
import { isAbout, plainNames } from './filter-keys.ts';
import { unmatchedWarning } from './unmatched.ts';

// As many as reach a person, see boundedWarnings.
const maxWarnings = 16;
// Pods that are being created wait meanwhile, for up to some 70 ms.
export const maxComparisons = 100_000;
const maxListed = 3;

export function filterWarnings(
  filters: Filters,
  view: Pick<ClusterView, 'settings' | 'namespaces' | 'pods' | 'synced'>,
  comparisons: Comparisons = { left: maxComparisons },
): string[] {
  return [...allWarnings(filters, view, comparisons).take(maxWarnings)];
}

function* allWarnings(
  filters: Filters,
  view: Parameters<typeof filterWarnings>[1],
  comparisons: Comparisons,
): Generator<string, undefined> {
  yield* besideAllNamespaces(filters);
  if (!view.synced()) return;
  const namespaces = knownNamespaces(view, comparisons);
  const pods = [...view.pods()];
  const models = differing(pods);
  for (const filter of filters.items) {
    let isTold = false;
    for (const warning of namespaceWarnings(filter, namespaces, comparisons)) {
      isTold = true;
      yield warning;
    }
    const warning = isTold
      ? undefined
      : unmatchedWarning(filter, filter.podName ? pods : models, comparisons);
    if (warning !== undefined) yield warning;
  }
}

/** Without pods that differ from one of the same owner in nothing but the name. */
function differing(pods: readonly KnownPod[]): KnownPod[] {
  const seen = new Map<string, KnownPod>();
  return pods.filter((pod) => {
    if (!pod.owner || pod.ephemeralContainers.length > 0) return true;
    const before = seen.get(pod.owner.uid);
    seen.set(pod.owner.uid, pod);
    // The caches keep equal labels and annotations once. If they did not, this would cost time, not be wrong.
    return before?.labels !== pod.labels || before.annotations !== pod.annotations;
  });
}

/** A filter goes before allNamespaces, so it takes containers and nodes away instead of adding pods. */
function besideAllNamespaces({ allNamespaces, items }: Filters): string[] {
  if (!allNamespaces || items.length === 0) return [];
  return [
    'allNamespaces: true mirrors every pod, so a filter beside it adds none: it only narrows the pods that it matches to its containers and nodes. Remove filters:, or set allNamespaces: false',
  ];
}

interface KnownNamespaces {
  names: ReadonlySet<string>;
  near(name: string): string | undefined;
  /** Where no filter has an effect, by why. */
  ruledOut: { why: string; names: string[] }[];
}

function knownNamespaces(
  view: Pick<ClusterView, 'namespaces' | 'settings'>,
  comparisons: Comparisons,
): KnownNamespaces {
  const all = [...view.namespaces()];
  const names = all.map(({ name }) => name);
  return {
    names: new Set(names),
    near: createNearest(names, comparisons),
    ruledOut: ruledOut(all, view.settings),
  };
}

function ruledOut(all: readonly NamespaceFacts[], settings: Settings): KnownNamespaces['ruledOut'] {
  const { labelKey, ownNamespace, excludedNamespaces } = settings;
  const isExcluded = ({ name }: NamespaceFacts) => name === ownNamespace || excludedNamespaces.includes(name);
  const labelled = (value: string) =>
    all.filter(
      (facts) =>
        !isExcluded(facts) && Object.hasOwn(facts.labels, labelKey) && facts.labels[labelKey] === value,
    );
  const rows: [which: NamespaceFacts[], why: string][] = [
    [all.filter(isExcluded), 'which is never mirrored. Leave it out'],
    [
      labelled('enabled'),
      `where all pods are mirrored already (${labelKey}=enabled). Remove the label if the filter is meant to choose`,
    ],
    [
      labelled('disabled'),
      `where nothing is mirrored (${labelKey}=disabled). Remove the label if the filter is meant`,
    ],
  ];
  return rows.map(([which, why]) => ({ why, names: which.map(({ name }) => name) }));
}

function* namespaceWarnings(
  filter: Filter,
  { names, near, ruledOut }: KnownNamespaces,
  comparisons: Comparisons,
): Generator<string, undefined> {
  if (filter.namespace === undefined) return;
  const where = renderPath(['filters', filter.number - 1, 'namespace']);
  for (const name of plainNames(filter.namespace)) {
    if (!names.has(name)) yield `${where}: there is no namespace ${show(name)} now. ${instead(near(name))}`;
  }
  const { length: cost } = filter.namespace.alternatives;
  for (const { why, names } of ruledOut) {
    comparisons.left -= names.length * cost;
    if (comparisons.left < 0) return;
    const about = names.filter((name) => isAbout(filter, name));
    if (about.length > 0) yield `${where}: no effect in ${listed(about, maxListed)}, ${why}`;
  }
}

function instead(near: string | undefined): string {
  return near === undefined ? 'Create it, or write one that exists' : `Write ${near}, or create it`;
}
