// The keys of a filter one by one, to tell which of them keeps it from matching.
import type { Filter } from '../../intent/filters.ts';
import type { PodFacts } from '../../intent/model.ts';
import type { Pattern } from '../../intent/pattern.ts';

export interface FilterKey {
  /** Below the filter: `['pod_labels', 'team']`. */
  path: readonly string[];
  pattern: Pattern;
  /** What a pod has there; any of them may match. */
  valuesOf(pod: PodFacts): readonly string[];
  /** For labels and annotations: the keys a pod has instead. */
  neighboursOf?(pod: PodFacts): readonly string[];
}

/** Without node_name: pods come to nodes later. */
export function keysOf(filter: Filter): FilterKey[] {
  const { namespace, podName, containerName } = filter;
  return [
    ...one('namespace', namespace, (pod) => [pod.namespace]),
    ...filter.podLabels.map(([key, pattern]) => pair('pod_labels', key, pattern, (pod) => pod.labels)),
    ...filter.podAnnotations.map(([key, pattern]) =>
      pair('pod_annotations', key, pattern, (pod) => pod.annotations),
    ),
    ...one('pod_name', podName, ({ name }) => (name === undefined ? [] : [name])),
    ...one('container_name', containerName, (pod) => [...pod.containers, ...pod.ephemeralContainers]),
  ];
}

export function holds({ pattern, valuesOf }: FilterKey, pod: PodFacts): boolean {
  return valuesOf(pod).some((value) => pattern.matches(value));
}

/** The alternatives that are no globs, so that they name one thing. */
export function plainNames({ alternatives }: Pattern): string[] {
  return alternatives.filter((alternative) => !/[*?[\]{}!\\]/.test(alternative));
}

/** It names this namespace, and not as one of all or as what is left of all. */
export function isAbout({ namespace }: Filter, name: string): boolean {
  if (namespace === undefined || namespace.source.startsWith('!')) return false;
  return !namespace.alternatives.includes('*') && namespace.matches(name);
}

function one(
  name: string,
  pattern: Pattern | undefined,
  valuesOf: (pod: PodFacts) => readonly string[],
): FilterKey[] {
  return pattern ? [{ path: [name], pattern, valuesOf }] : [];
}

function pair(
  map: string,
  key: string,
  pattern: Pattern,
  mapOf: (pod: PodFacts) => Record<string, string>,
): FilterKey {
  return {
    path: [map, key],
    pattern,
    valuesOf(pod) {
      const value = Object.hasOwn(mapOf(pod), key) ? mapOf(pod)[key] : undefined;
      return value === undefined ? [] : [value];
    },
    neighboursOf: (pod) => Object.keys(mapOf(pod)),
  };
}
