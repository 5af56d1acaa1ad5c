// Filters that are legal but surely not meant as they stand, given the cluster as it is now.
import type { ClusterView, KnownPod } from '../../cluster/view.ts';
import type { Filter, Filters } from '../../intent/filters.ts';
import type { NamespaceFacts, PodFacts, Settings } from '../../intent/model.ts';
import { nearest } from '../../intent/near-miss.ts';
import { renderPath } from '../../intent/problem.ts';
import { listed, show } from '../../intent/show.ts';
import { isAbout, plainNames } from './filter-keys.ts';
import { unmatchedWarning } from './unmatched.ts';

// A person reads a few warnings, and the API server passes sixteen.
const maxLookedAt = 50;
// A pod against a filter takes about half a microsecond; pods that are being created wait meanwhile.
const maxComparisons = 50_000;
const maxListed = 3;

export function filterWarnings(
  filters: Filters,
  view: Pick<ClusterView, 'settings' | 'namespaces' | 'pods' | 'synced'>,
): string[] {
  const warnings = besideAllNamespaces(filters);
  if (!view.synced()) return warnings;
  const namespaces = new Map([...view.namespaces()].map((facts) => [facts.name, facts]));
  const pods = [...view.pods()];
  const models = differing(pods);
  let comparisons = 0;
  const isAffordable = ({ length }: readonly KnownPod[]) => {
    comparisons += length;
    return comparisons <= maxComparisons;
  };
  const looked = filters.items.slice(0, maxLookedAt);
  return [
    ...warnings,
    ...looked.flatMap((filter) => {
      const about = namespaceWarnings(filter, namespaces, view.settings);
      const compared = filter.podName ? pods : models;
      return about.length > 0 || !isAffordable(compared) ? about : matchWarnings(filter, compared);
    }),
  ];
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

function matchWarnings(filter: Filter, pods: readonly PodFacts[]): string[] {
  const warning = unmatchedWarning(filter, pods);
  return warning === undefined ? [] : [warning];
}

function namespaceWarnings(
  filter: Filter,
  namespaces: ReadonlyMap<string, NamespaceFacts>,
  settings: Settings,
): string[] {
  if (filter.namespace === undefined) return [];
  const where = renderPath(['filters', filter.number - 1, 'namespace']);
  const missing = plainNames(filter.namespace).filter((name) => !namespaces.has(name));
  const about = [...namespaces.values()].filter(({ name }) => isAbout(filter, name));
  return [
    ...missing.map(
      (name) => `${where}: there is no namespace ${show(name)} now. ${instead(name, namespaces)}`,
    ),
    ...ruledOut(where, about, settings),
  ];
}

function instead(name: string, namespaces: ReadonlyMap<string, NamespaceFacts>): string {
  const near = nearest(name, [...namespaces.keys()]);
  return near === undefined ? 'Create it, or write one that exists' : `Write ${near}, or create it`;
}

function ruledOut(where: string, about: readonly NamespaceFacts[], settings: Settings): string[] {
  const { labelKey, ownNamespace, excludedNamespaces } = settings;
  const isExcluded = ({ name }: NamespaceFacts) => name === ownNamespace || excludedNamespaces.includes(name);
  const labelled = (value: string) =>
    about.filter(
      (facts) =>
        !isExcluded(facts) && Object.hasOwn(facts.labels, labelKey) && facts.labels[labelKey] === value,
    );
  const rows: [which: NamespaceFacts[], why: string][] = [
    [about.filter(isExcluded), 'which is never mirrored. Leave it out'],
    [
      labelled('enabled'),
      `where all pods are mirrored already (${labelKey}=enabled). Remove the label if the filter is meant to choose`,
    ],
    [
      labelled('disabled'),
      `where nothing is mirrored (${labelKey}=disabled). Remove the label if the filter is meant`,
    ],
  ];
  return rows
    .filter(([which]) => which.length > 0)
    .map(
      ([which, why]) =>
        `${where}: no effect in ${listed(
          which.map(({ name }) => name),
          maxListed,
        )}, ${why}`,
    );
}
