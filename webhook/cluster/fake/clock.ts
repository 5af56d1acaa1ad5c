// A clock that only moves when it is told to; sleepers wake in order.
import type { Clock } from '../clock.ts';

export interface FakeClock extends Clock {
  /** Moves on, waking sleepers on the way and giving what they do time to happen. */
  advance(ms: number): Promise<void>;
  /** Somebody sleeps. */
  sleepers(): number;
}

export function fakeClock({ random = () => 0.5 }: { random?: () => number } = {}): FakeClock {
  let now = 1000;
  const waiting = new Set<{ at: number; wake: () => void }>();
  const settle = async () => {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    now: () => now,
    random,
    sleep(ms, signal) {
      if (signal?.aborted) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      const sleeper = {
        at: now + ms,
        wake() {
          waiting.delete(sleeper);
          resolve();
        },
      };
      waiting.add(sleeper);
      signal?.addEventListener('abort', sleeper.wake, { once: true });
      return promise;
    },
    async advance(ms) {
      const end = now + ms;
      await settle();
      for (;;) {
        const next = [...waiting].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (!next) break;
        now = Math.max(now, next.at);
        next.wake();
        await settle();
      }
      now = end;
      await settle();
    },
    sleepers: () => waiting.size,
  };
}

/** The true clock with sleeps cut short, for loops whose back-off would make a test slow. */
export function hastyClock(factor = 50): Clock {
  return {
    now: () => performance.now(),
    random: Math.random,
    sleep(ms, signal) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, ms / factor);
      const wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (signal?.aborted) wake();
      signal?.addEventListener('abort', wake, { once: true });
      return promise;
    },
  };
}
