/** That something was not mirrored shows only once something later was, and all of it was looked at. */
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../harness/until.ts';
import type { AttackRecord } from './record.ts';
import { attackUrl, type ClientPod } from './workload.ts';

// The agent sends what it has once in this time, and one batch may be inspected before another.
const betweenBatchesMs = 300;

/**
 * Of these paths, those on record after a later attack on `witness`, a host that is mirrored, is there and nothing
 * waits for inspection.
 */
export async function seenAfterAll(
  paths: readonly string[],
  { client, record, witness }: { client: ClientPod; record: AttackRecord; witness: string },
): Promise<string[]> {
  await sleep(betweenBatchesMs);
  const last = `/witness-${++asked}`;
  await client.get(attackUrl(witness, last));
  await record.attackOn(last);
  const isDone = await until(async () => (await record.stats()).pending === 0, { timeoutMs: 20_000 });
  if (!isDone) throw new Error('exchanges wait for inspection without end');
  return record.among(paths);
}

let asked = 0;
