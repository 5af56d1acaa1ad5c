// Long computations in slices, so that admissions are answered in between: they share the event loop.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../cluster/clock.ts';

/** So many steps take well below a millisecond. */
export const SLICE = 256;

/** Lets everything else have its turn at each `yield`. `ownMs`: what it took itself. */
export async function inSlices<T>(
  steps: Generator<void, T>,
  { now }: Pick<Clock, 'now'>,
): Promise<{ value: T; ownMs: number }> {
  let ownMs = 0;
  for (;;) {
    const beganAt = now();
    const { done, value } = steps.next();
    ownMs += now() - beganAt;
    if (done) return { value, ownMs };
    await nextTurn();
  }
}

export function atOnce<T>(steps: Generator<void, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
