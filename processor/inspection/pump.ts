// Takes accepted batches from the store, inspects them and records the outcome.
import { type Outcome, type Pending, type Store, StoreUnavailable } from '../store/store.ts';

export interface PumpOptions {
  store: Pick<Store, 'take' | 'finish'>;
  inspect: (pending: Pending) => Promise<Outcome>;
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
export function startPump({ store, inspect, maxBatches, onTrouble, retryMs = 1000 }: PumpOptions): Pump {
  const running = new Set<Promise<void>>();
  let lastSeq = 0;
  let stopped = false;
  let retry: NodeJS.Timeout | undefined;

  const wake = () => {
    if (stopped || retry) return;
    const room = maxBatches - running.size;
    if (room <= 0) return;
    let taken: Pending[];
    try {
      taken = store.take(lastSeq, room);
    } catch (error) {
      onTrouble(error as Error);
      return wakeLater();
    }
    for (const pending of taken) {
      lastSeq = pending.seq;
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
    let outcome: Outcome;
    try {
      outcome = await inspect(pending);
    } catch (error) {
      // The pool closed: the batch stays in the store for the next start.
      if (!stopped) onTrouble(error as Error);
      return;
    }
    // With the outcome at hand, only the disk is in the way.
    for (;;) {
      try {
        return store.finish(pending.seq, outcome);
      } catch (error) {
        onTrouble(error as Error);
        if (stopped || !(error instanceof StoreUnavailable)) return;
        await new Promise((resolve) => setTimeout(resolve, retryMs));
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
