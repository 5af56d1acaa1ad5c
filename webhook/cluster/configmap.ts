// One ConfigMap by name. It is watched with a field selector, so that the role can name it.
import { z } from 'zod';
import { stringMap } from './pod.ts';
import type { Handler } from './watcher.ts';

export interface ConfigMap {
  name: string;
  uid: string;
  resourceVersion: string;
  data: Record<string, string>;
}

const configMapShape = z.object({
  metadata: z.object({
    name: z.string().min(1),
    uid: z.string().catch(''),
    resourceVersion: z.string().catch(''),
  }),
  data: stringMap,
});

export function configMapOf(object: unknown): ConfigMap {
  const { metadata, data } = configMapShape.parse(object);
  return { ...metadata, data };
}

export interface OneConfigMap extends Handler<ConfigMap> {
  get(): ConfigMap | undefined;
}

export function createConfigMap({ name, onChange }: { name: string; onChange: () => void }): OneConfigMap {
  let known: ConfigMap | undefined;
  /** Of the last DELETED. Not of a list without it, which may be older than the answer that told of it. */
  let gone: ConfigMap | undefined;
  const set = (next: ConfigMap | undefined) => {
    const changed = known?.resourceVersion !== next?.resourceVersion || known?.uid !== next?.uid;
    known = next;
    if (changed) onChange();
  };
  return {
    replace: (list) => set(list.find((found) => found.name === name)),
    upsert(next) {
      // An answer to a write of ours may have told more than the watch has reached,
      const isPast = known?.uid === next.uid && isOlder(next, known);
      // or come after the deletion of what it wrote to.
      const isDead = gone && ((next.uid !== '' && next.uid === gone.uid) || isOlder(next, gone));
      if (next.name === name && !isPast && !isDead) set(next);
    },
    remove(last) {
      if (last.name !== name || (known && known.uid !== last.uid)) return;
      gone = last;
      set(undefined);
    },
    get: () => known,
  };
}

// Opaque to clients on paper; decimal numbers of one etcd in fact, and since Kubernetes 1.35 on paper as well.
function isOlder(a: ConfigMap, b: ConfigMap): boolean {
  const decimal = /^\d{1,20}$/;
  if (!decimal.test(a.resourceVersion) || !decimal.test(b.resourceVersion)) return false;
  return BigInt(a.resourceVersion) < BigInt(b.resourceVersion);
}
