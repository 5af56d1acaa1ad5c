// One accepted batch, from its bytes to what is recorded about it.
import { BadBatch, type Batch, decodeBatch, type Exchange } from '../exchange.ts';
import type { Match } from '../modsecurity/modsecurity.ts';
import type { LossReason, NewHit, Outcome, Pending } from '../store/store.ts';
import { endpointOf, parameterOf } from './endpoint.ts';
import { locate } from './locate.ts';
import type { Inspected, Pool } from './pool.ts';
import { verdictOf } from './verdict.ts';

export interface BatchInspectionOptions {
  pending: Pending;
  pool: Pick<Pool, 'inspect'>;
  threshold: number;
  /** Of a body, in the record of a hit. */
  maxRecordedBodyBytes: number;
  /** Called before each exchange of a batch that may have killed the process; null: none is under way. */
  suspect: (index: number | null) => void;
  /** An exchange was dropped; the sentence says why. */
  onDrop: (message: string) => void;
}

// Once may be a plain restart; a batch that was begun twice and not finished goes one exchange at a time.
const maxTrustedAttempts = 2;

/** Rejects only when the pool closes. */
export async function inspectBatch(options: BatchInspectionOptions): Promise<Outcome> {
  const { pending, pool, suspect, onDrop } = options;
  const dropped: Outcome['dropped'] = {};
  const drop = (reason: LossReason, amount: number, message: string) => {
    dropped[reason] = (dropped[reason] ?? 0) + amount;
    onDrop(`${reason}: ${message}`);
  };

  let batch: Batch;
  try {
    batch = decodeBatch(pending.body);
  } catch (error) {
    // It was decoded once before it was accepted: an older or a newer podmirror wrote it.
    if (!(error instanceof BadBatch)) throw error;
    drop('undecodable', pending.exchanges, error.message);
    return { inspected: 0, dropped, hits: [] };
  }

  const hits: NewHit[] = [];
  let inspected = 0;
  const settle = (exchange: Exchange, result: Inspected) => {
    if ('dropped' in result) return drop(result.dropped, 1, result.message);
    inspected += 1;
    const hit = hitOf(exchange, result.matches, options);
    if (hit) hits.push(hit);
  };

  const careful = pending.attempts > maxTrustedAttempts;
  const running: Promise<void>[] = [];
  for (const [index, exchange] of batch.exchanges.entries()) {
    if (pending.skipped.includes(index)) {
      drop('process_crash', 1, `the process died while it inspected exchange ${index} of a batch`);
      continue;
    }
    if (careful) suspect(index);
    const done = pool.inspect(exchange).then((result) => settle(exchange, result));
    running.push(done);
    // A pool that closes is no death: the exchange keeps its good name.
    if (careful) await done.finally(() => suspect(null));
  }
  await Promise.all(running);
  return { inspected, dropped, hits };
}

function hitOf(
  exchange: Exchange,
  matches: Match[],
  { threshold, maxRecordedBodyBytes }: Pick<BatchInspectionOptions, 'threshold' | 'maxRecordedBodyBytes'>,
): NewHit | undefined {
  const verdict = verdictOf(matches, threshold);
  if (!verdict) return undefined;
  const { target, ...seen } = exchange;
  const { request } = exchange;
  const body = request.body.slice(0, maxRecordedBodyBytes);
  const recorded = {
    ...request,
    body,
    bodyTruncated: request.bodyTruncated || body.length < request.body.length,
  };
  return {
    type: verdict.type,
    target,
    endpoint: endpointOf(request),
    parameter: parameterOf(verdict.deciding),
    exchange: { ...seen, request: recorded },
    score: verdict.score,
    matches: verdict.matches,
    deciding: verdict.deciding.id,
    mark: locate({ request: recorded }, verdict.deciding),
  };
}
