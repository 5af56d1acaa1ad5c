// Long computations in slices, so that admissions are answered in between: they share the event loop.
import { setImmediate as nextTurn } from 'node:timers/promises';

/** So many steps take well below a millisecond. */
export const SLICE = 256;

/** Lets everything else have its turn at each `yield`. */
export async function inSlices<T>(steps: Generator<void, T>): Promise<T> {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    await nextTurn();
  }
}

export function atOnce<T>(steps: Generator<void, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
