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
  /**
   * `<namespace>.<16 hex>`. Ids of one namespace only can collide; with 32 bits, whoever may create a pod there could
   * make one that shares the id of a chosen class in minutes, and neither would be mirrored.
   */
  id: string;
  /** The canonical text that was hashed. */
  descriptor: string;
}

const idDigits = 16;

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
    // Which of the patterns match, by their places.
    names: [...meta.namePatterns.keys()].filter((index) =>
      patternOf(meta.namePatterns[index] ?? '')?.matches(name ?? ''),
    ),
    keys: keysDigestOf(meta),
  });
  return { id: `${namespace}.${sha256(descriptor).slice(0, idDigits)}`, descriptor };
}

// Keys of a thousand filters are tens of KiB, and there is a descriptor for each class.
const keysDigests = new WeakMap<Meta, string>();

function keysDigestOf(meta: Meta): string {
  const known = keysDigests.get(meta);
  if (known !== undefined) return known;
  const digest = sha256(JSON.stringify([meta.labelKeys, meta.annotationKeys, meta.namePatterns]));
  keysDigests.set(meta, digest);
  return digest;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** What is not there is left out, so that it differs from ''. */
function pairsOf(map: Record<string, string>, keys: string[]): [string, string][] {
  return keys.flatMap((key) => (Object.hasOwn(map, key) ? [[key, map[key] ?? '']] : []));
}
