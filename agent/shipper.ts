// Delivers batches to the processor: the same bytes under the same id until they are taken, refused for good, or time is up.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Batch } from '../bpf/index.d.ts';
import { backoffMs, parseRetryAfter } from './backoff.ts';
import type { Log } from './log.ts';
import type { Answer, Poster } from './post.ts';
import type { Deliver, Outcome } from './pump.ts';
import { reasonIn, type Trouble, troubleOfAnswer, troubleOfError } from './trouble.ts';

export interface Shipper {
  deliver: Deliver;
  /** What the last attempt met; undefined: it was taken, or there was none. */
  trouble(): Trouble | undefined;
  attempts(): { taken: number; refused: number; failed: number };
}

// A processor that is full by turns is told about once a minute, not at every turn.
const sayAgainAfterMs = 60_000;

export function createShipper({
  url,
  poster,
  log,
  random = Math.random,
  now = Date.now,
}: {
  url: string;
  poster: Pick<Poster, 'post'>;
  log: Log;
  random?: () => number;
  now?: () => number;
}): Shipper {
  const said = new Map<string, number>();
  const counts = { taken: 0, refused: 0, failed: 0 };
  let trouble: Trouble | undefined;
  let everTaken = false;
  let saidTrouble = false;

  const succeed = () => {
    counts.taken++;
    if (!everTaken) log.info(`delivering to ${url}`);
    else if (saidTrouble) log.info(`delivering to ${url} again`);
    everTaken = true;
    saidTrouble = false;
    trouble = undefined;
  };

  const fail = (found: Trouble) => {
    counts.failed++;
    trouble = found;
    const last = said.get(found.kind);
    if (last !== undefined && (saidTrouble || now() - last < sayAgainAfterMs)) return;
    said.set(found.kind, now());
    saidTrouble = true;
    log.warn(found.sentence);
  };

  const refuse = (batch: Batch, { status, text }: Answer): Outcome => {
    counts.refused++;
    trouble = undefined;
    const advice =
      status === 413
        ? 'Write a smaller limits.maxBatchBytes in the agent or a larger ingest.maxBatchBytes in the processor'
        : 'Run agent and processor of one version';
    log.error(
      `${batch.exchanges} exchanges are lost: the processor refused batch ${batch.id} with status ${status} (${reasonIn(text) || 'no reason given'}). ${advice}`,
    );
    return { dropped: 'rejected' };
  };

  const deliver: Deliver = async (batch, signal) => {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const answer = await poster.post(batch.bytes, signal).catch((error: NodeJS.ErrnoException) => error);
      if (signal.aborted && answer instanceof Error) break;
      if (!(answer instanceof Error)) {
        const { status } = answer;
        if (status >= 200 && status < 300) {
          succeed();
          return 'delivered';
        }
        if (status === 400 || status === 413) return refuse(batch, answer);
      }
      fail(answer instanceof Error ? troubleOfError(answer, url) : troubleOfAnswer(answer, url));
      const retryAfterMs = answer instanceof Error ? undefined : parseRetryAfter(answer.retryAfter, now());
      const waitMs = backoffMs({ attempt, retryAfterMs, random: random() });
      await sleep(waitMs, undefined, { signal }).catch(() => {});
    }
    return { dropped: 'shutdown' };
  };

  return { deliver, trouble: () => trouble, attempts: () => ({ ...counts }) };
}
