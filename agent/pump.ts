// Moves finished batches from the addon to where they go, and books what became of each.
import type { Batch, Capture } from '../bpf/index.d.ts';

export type Outcome = 'delivered' | { dropped: string };

/** Resolves when the fate of the batch is known. Ends with `{dropped: 'shutdown'}` soon after `signal` aborts. */
export type Deliver = (batch: Batch, signal: AbortSignal) => Promise<Outcome>;

// How long one call into the addon may wait for traffic.
const maxWaitMs = 500;

/**
 * Runs until `capture` is stopped and empty; then every batch is settled. `stopped` says whether `capture.stop()`
 * was called: only then does null mean the end. Once `giveUp` aborts, what is still queued is booked as dropped.
 * Up to `maxInFlight` batches are under way at once, since a slow answer must not hold up the next batch.
 */
export async function pump({
  capture,
  deliver,
  stopped,
  giveUp,
  maxInFlight,
}: {
  capture: Pick<Capture, 'nextBatch' | 'settle'>;
  deliver: Deliver;
  stopped: () => boolean;
  giveUp: AbortSignal;
  maxInFlight: number;
}): Promise<void> {
  const inFlight = new Set<Promise<void>>();
  for (;;) {
    // Asked before the call: a null that was under way when the capture stopped is not yet the end.
    const mayEnd = stopped();
    const batch = await capture.nextBatch(maxWaitMs);
    if (batch === null && mayEnd) break;
    if (batch === null) continue;

    const settled = deliver(batch, giveUp)
      .then((outcome) => {
        capture.settle(batch.id, outcome);
        // Frees a megabyte now and not when the collector comes by: what it does not see growing, it does not collect.
        if (batch.bytes.byteLength === batch.bytes.buffer.byteLength)
          (batch.bytes.buffer as ArrayBuffer).transfer(0);
      })
      .finally(() => inFlight.delete(settled));
    inFlight.add(settled);
    if (inFlight.size >= maxInFlight) await Promise.race(inFlight);
  }
  await Promise.all(inFlight);
}
