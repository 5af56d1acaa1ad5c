// Workload classes: all pods that intent cannot tell apart share an id, and anybody who sees a pod computes it.
import { createHash } from 'node:crypto';
import type { Filters } from './filters.ts';
import type { PodFacts, Settings } from './model.ts';
import { patternOf } from './pattern.ts';

/** What takes part in class ids. Travels in the ConfigMap as `_meta`. */
export interface Meta {
  version: 1;
  /** Sorted, each once; so are the others. */
  labelKeys: string[];
  annotationKeys: string[];
  namePatterns: string[];
  /** Not part of ids: a changed filter with the same keys keeps them. */
  filtersHash: string;
  /** Not part of ids either. */
  shards: number;
}

export function metaOf(filters: Filters, settings: Settings, shards = 1): Meta {
  const { items, hash } = filters;
  return {
    version: 1,
    labelKeys: sortedSet(items.flatMap(({ podLabels }) => podLabels.map(([key]) => key))),
    annotationKeys: sortedSet([
      settings.annotationKey,
      ...items.flatMap(({ podAnnotations }) => podAnnotations.map(([key]) => key)),
    ]),
    namePatterns: sortedSet(items.flatMap(({ podName }) => (podName ? [podName.source] : []))),
    filtersHash: hash,
    shards,
  };
}

function sortedSet(words: string[]): string[] {
  return [...new Set(words)].sort();
}

export interface WorkloadClass {
  /** `<namespace>.<8 hex>`: 32 bits suffice because ids of one namespace only can collide. */
  id: string;
  /** The canonical text that was hashed. */
  descriptor: string;
}

/** undefined: a filter asks for the pod's name, and it is not chosen yet. Ids of metas with different keys never meet. */
export function classOf(pod: PodFacts, meta: Meta): WorkloadClass | undefined {
  const { namespace, name } = pod;
  if (meta.namePatterns.length > 0 && name === undefined) return undefined;
  // Pairs instead of objects: objects reorder keys that look like numbers and mistake __proto__.
  const descriptor = JSON.stringify({
    namespace,
    containers: [...pod.containers].sort(),
    labels: pairsOf(pod.labels, meta.labelKeys),
    annotations: pairsOf(pod.annotations, meta.annotationKeys),
    names: meta.namePatterns.map((source) => (patternOf(source)?.matches(name ?? '') ? 1 : 0)),
    keys: [meta.labelKeys, meta.annotationKeys, meta.namePatterns],
  });
  const hex = createHash('sha256').update(descriptor).digest('hex').slice(0, 8);
  return { id: `${namespace}.${hex}`, descriptor };
}

/** What is not there is left out, so that it differs from ''. */
function pairsOf(map: Record<string, string>, keys: string[]): [string, string][] {
  return keys.flatMap((key) => (Object.hasOwn(map, key) ? [[key, map[key] ?? '']] : []));
}
