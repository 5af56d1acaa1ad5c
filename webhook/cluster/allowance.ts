// How often something may be done: so many times at once, and so many a second for good.
import type { Clock } from './clock.ts';

export interface Allowance {
  /** False when it is used up for now. */
  take(): boolean;
}

export function createAllowance({
  perSecond,
  burst,
  clock,
}: {
  perSecond: number;
  burst: number;
  clock: Pick<Clock, 'now'>;
}): Allowance {
  let left = burst;
  let countedAt = clock.now();
  return {
    take() {
      const now = clock.now();
      left = Math.min(burst, left + ((now - countedAt) / 1000) * perSecond);
      countedAt = now;
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}
