/** Pods that are being deleted: one with a node stays until a kubelet says that its containers have ended. */
import { createApi, pathOf } from '../../webhook/cluster/api.ts';
import { systemClock } from '../../webhook/cluster/clock.ts';
import { kubeConfigConnection } from '../../webhook/cluster/connection.ts';
import { startWatcher } from '../../webhook/cluster/watcher.ts';

export interface DeletionsOptions {
  kubeconfig: string;
  namespace: string;
  /** Once for each pod. */
  onDeletion(podName: string): void;
}

interface PodObject {
  metadata: { name: string; deletionTimestamp?: string };
}

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Resolves with the function that ends it. */
export async function watchDeletions(options: DeletionsOptions): Promise<() => Promise<void>> {
  const connection = await kubeConfigConnection({ file: options.kubeconfig, clock: systemClock });
  const seen = new Set<string>();
  const look = ({ metadata: { name, deletionTimestamp } }: PodObject) => {
    if (deletionTimestamp === undefined || seen.has(name)) return;
    seen.add(name);
    options.onDeletion(name);
  };
  const watcher = startWatcher<PodObject>({
    api: createApi({ connection, userAgent: 'podmirror-test' }),
    path: pathOf({ namespace: options.namespace }, 'pods'),
    name: 'pods',
    reduce: (object) => object as PodObject,
    handler: { replace: (pods) => pods.forEach(look), upsert: look, remove() {} },
    clock: systemClock,
    log: silent,
  });
  return async () => {
    await watcher.stop();
    connection.close();
  };
}
