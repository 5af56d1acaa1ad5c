// The pods of the cluster, reduced: 10,000 of them are a few MiB.
import { createInterner } from './intern.ts';
import { createPairKeeper, type WantedKeys } from './pairs.ts';
import { knownPodOf } from './pod.ts';
import type { KnownPod } from './view.ts';
import type { Handler } from './watcher.ts';

export interface Pods extends Handler<KnownPod> {
  reduce(object: unknown): KnownPod;
  get(namespace: string, name: string): KnownPod | undefined;
  all(): Iterable<KnownPod>;
  size(): number;
  /** These keys are kept of labels and annotations from now on. True when some may be missing: then list again. */
  want(keys: WantedKeys): boolean;
}

export function createPods({ onChange }: { onChange: () => void }): Pods {
  let namespaces = new Map<string, Map<string, KnownPod>>();
  const intern = createInterner();
  const pairs = createPairKeeper();

  const put = (into: Map<string, Map<string, KnownPod>>, pod: KnownPod) => {
    let inNamespace = into.get(pod.namespace);
    if (!inNamespace) {
      inNamespace = new Map();
      into.set(pod.namespace, inNamespace);
    }
    inNamespace.set(pod.name, pod);
  };

  const get = (namespace: string, name: string) => namespaces.get(namespace)?.get(name);

  /** The one we have when nothing of interest changed: most updates of a pod are its status. */
  const same = (pod: KnownPod): KnownPod => {
    const before = get(pod.namespace, pod.name);
    return before && isSame(before, pod) ? before : pod;
  };

  return {
    reduce(object) {
      const pod = knownPodOf(object);
      const { labels, annotations } = pairs.keep(pod);
      const owner = pod.owner && {
        apiVersion: intern.string(pod.owner.apiVersion),
        kind: intern.string(pod.owner.kind),
        name: intern.string(pod.owner.name),
        uid: intern.string(pod.owner.uid),
      };
      return {
        namespace: intern.string(pod.namespace),
        name: pod.name,
        labels: intern.record(labels),
        annotations: intern.record(annotations),
        containers: intern.list(pod.containers),
        ephemeralContainers: intern.list(pod.ephemeralContainers),
        nodeName: pod.nodeName === undefined ? undefined : intern.string(pod.nodeName),
        uid: pod.uid,
        owner,
        phase: intern.string(pod.phase),
      };
    },
    replace(pods) {
      const next = new Map<string, Map<string, KnownPod>>();
      let changed = false;
      let count = 0;
      for (const pod of pods) {
        const kept = same(pod);
        changed ||= kept === pod;
        put(next, kept);
        count += 1;
      }
      changed ||= count !== sizeOf(namespaces);
      namespaces = next;
      if (changed) onChange();
    },
    upsert(pod) {
      if (same(pod) !== pod) return;
      put(namespaces, pod);
      onChange();
    },
    remove({ namespace, name }) {
      const inNamespace = namespaces.get(namespace);
      if (!inNamespace?.delete(name)) return;
      if (inNamespace.size === 0) namespaces.delete(namespace);
      onChange();
    },
    get,
    *all() {
      for (const inNamespace of namespaces.values()) yield* inNamespace.values();
    },
    size: () => sizeOf(namespaces),
    want: pairs.want,
  };
}

const sizeOf = (namespaces: Map<string, Map<string, unknown>>): number =>
  namespaces.values().reduce((sum, { size }) => sum + size, 0);

function isSame(a: KnownPod, b: KnownPod): boolean {
  return (
    a.uid === b.uid &&
    a.phase === b.phase &&
    a.nodeName === b.nodeName &&
    a.owner?.uid === b.owner?.uid &&
    isEqual(a.labels, b.labels) &&
    isEqual(a.annotations, b.annotations) &&
    isEqual(a.containers, b.containers) &&
    isEqual(a.ephemeralContainers, b.ephemeralContainers)
  );
}

// Interned, so nearly always the same object; the interner may have forgotten it.
const isEqual = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b);
