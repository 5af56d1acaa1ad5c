/** The process that a cluster belongs to which nobody's test started; it tells whoever did over Node's own channel. */
import { leavingNothing } from '../harness/leave.ts';
import { startCluster } from './cluster.ts';

/** `ready` has the cluster's name. */
export type News = { step: string } | { failed: string } | { ready: string };

export function hold(): Promise<number> {
  return leavingNothing(async (leave) => {
    let name: string;
    try {
      const cluster = await startCluster({ onProgress: (step) => tell({ step }) });
      leave.defer(() => cluster.stop());
      ({ name } = cluster.instance);
    } catch (error) {
      tell({ failed: error instanceof Error ? error.message : String(error) });
      return 1;
    }
    tell({ ready: name });
    // Until a signal.
    return await new Promise<never>(() => {});
  });
}

/** Whoever started it may be gone. */
function tell(news: News): void {
  if (process.connected) process.send?.(news);
}
