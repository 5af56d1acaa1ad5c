import { performance } from 'node:perf_hooks';

/** Time and chance, handed in so that tests own them. `now` is monotonic: a clock that jumps changes nothing. */
export interface Clock {
  now(): number;
  /** Settles early, without an error, when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** In [0, 1). */
  random(): number;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (signal?.aborted) return Promise.resolve();
    const wake = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal?.addEventListener('abort', wake, { once: true });
    return promise;
  },
  random: Math.random,
};

export function between(clock: Clock, least: number, most: number): number {
  return least + clock.random() * (most - least);
}
