// Takes accepted batches from the store, inspects them and records the outcome.
import type { Outcome, Pending, Store } from '../store/store.ts';

export interface PumpOptions {
  store: Pick<Store, 'take' | 'finish'>;
  inspect: (pending: Pending) => Promise<Outcome>;
  /** One that nothing else may run beside. */
  runsAlone: (pending: Pending) => boolean;
  /** Batches under way: a few keep all workers busy over the end of one, few keep memory small. */
  maxBatches: number;
  onTrouble: (error: Error) => void;
  retryMs?: number;
}

export interface Pump {
  /** There is, or may be, something to take. */
  wake(): void;
  /** Takes nothing more; resolves when what is under way is recorded, or after `timeoutMs`: then it stays in the store. */
  stop(timeoutMs: number): Promise<void>;
}

/** Begins with what an earlier process left. */
export function startPump({
  store,
  inspect,
  runsAlone,
  maxBatches,
  onTrouble,
  retryMs = 1000,
}: PumpOptions): Pump {
  const running = new Set<Promise<void>>();
  // Taken, and waiting until they may run beside what is running.
  const queue: Pending[] = [];
  let alone = false;
  let lastSeq = 0;
  let stopped = false;
  let retry: NodeJS.Timeout | undefined;

  const wake = () => {
    if (stopped) return;
    if (!retry) take();
    begin();
  };

  const take = () => {
    const room = maxBatches - running.size - queue.length;
    if (room <= 0) return;
    try {
      queue.push(...store.take(lastSeq, room));
    } catch (error) {
      onTrouble(error as Error);
      return wakeLater();
    }
    lastSeq = queue.at(-1)?.seq ?? lastSeq;
  };

  const begin = () => {
    for (let pending = queue[0]; pending; pending = queue[0]) {
      if (running.size > 0 && (alone || runsAlone(pending))) return;
      queue.shift();
      alone = runsAlone(pending);
      const work = run(pending).finally(() => {
        running.delete(work);
        wake();
      });
      running.add(work);
    }
  };

  const wakeLater = () => {
    retry = setTimeout(() => {
      retry = undefined;
      wake();
    }, retryMs);
  };

  const run = async (pending: Pending) => {
    let outcome: Outcome | undefined;
    // The batch was acknowledged: whatever fails is tried again. Once stopped, it stays in the store for the next start.
    for (;;) {
      try {
        outcome ??= await inspect(pending);
        return store.finish(pending.seq, outcome);
      } catch (error) {
        // A pool that closes is no trouble.
        if (!stopped || outcome) onTrouble(error as Error);
        if (stopped) return;
        await new Promise((resolve) => setTimeout(resolve, retryMs));
        if (stopped) return;
      }
    }
  };

  wake();
  return {
    wake,
    stop: async (timeoutMs) => {
      stopped = true;
      clearTimeout(retry);
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, timeoutMs);
      await Promise.race([Promise.all(running), promise]);
      clearTimeout(timer);
    },
  };
}
