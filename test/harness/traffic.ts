/** Sends planned connections to a server, a bounded number at a time. */
import { type PlannedConnection, runConnection, type Sent } from './client.ts';
import { seededRandom } from './random.ts';

export interface TrafficOptions {
  port: number;
  seed: number;
  concurrency?: number;
}

export async function sendAll(
  plans: readonly PlannedConnection[],
  { port, seed, concurrency = 32 }: TrafficOptions,
): Promise<Sent[]> {
  const sent: Sent[] = [];
  const waiting = plans.entries();
  const lane = async () => {
    for (const [index, plan] of waiting) {
      // Of its own: the order in which connections run must not change what is sent.
      const random = seededRandom(seed + index);
      sent.push(...(await runConnection(plan, port, random)));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return sent;
}
