import { setTimeout as sleep } from 'node:timers/promises';

/** Asks again every few milliseconds until the answer is truthy; undefined after `timeoutMs`. */
export async function until<T>(
  ask: () => T | Promise<T>,
  { timeoutMs = 5000, everyMs = 10 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<T | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > deadline) return undefined;
    await sleep(everyMs);
  }
}
