// One accepted batch, from its bytes to what is recorded about it.
import type { Origin } from '../connector/connector.ts';
import { BadBatch, type Batch, decodeBatch, type Exchange } from '../exchange.ts';
import type { LossReason, NewHit, Outcome, Pending } from '../store/store.ts';
import { endpointOf, parameterOf } from './endpoint.ts';
import { type Judgement, recordedRequest } from './judge.ts';
import type { Inspected, Pool } from './pool.ts';

export interface BatchInspectionOptions {
  pending: Pending;
  pool: Pick<Pool, 'inspect'>;
  /** Of a body, in the record of a hit. */
  maxRecordedBodyBytes: number;
  /** Called before each exchange of a batch that may have killed the process; null: none is under way. */
  suspect: (index: number | null) => void;
  /** An exchange was dropped; the sentence says why. */
  onDrop: (message: string) => void;
}

// Once may be a plain restart; a batch that was begun twice and not finished goes one exchange at a time.
const maxTrustedAttempts = 2;

/** To be inspected one exchange at a time, with nothing else beside it: if the process dies, the reason is known. */
export const isCareful = ({ attempts }: Pick<Pending, 'attempts'>): boolean => attempts > maxTrustedAttempts;

/** Rejects when the pool closes, or when the store cannot take a suspect. */
export async function inspectBatch(options: BatchInspectionOptions): Promise<Outcome> {
  const { pending, pool, suspect, onDrop, maxRecordedBodyBytes } = options;
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
    return { inspected: 0, excluded: {}, dropped, hits: [] };
  }

  const hits: NewHit[] = [];
  const excluded: Outcome['excluded'] = {};
  let inspected = 0;
  const settle = (exchange: Exchange, result: Inspected) => {
    if ('dropped' in result) return drop(result.dropped, 1, result.message);
    if ('excluded' in result) {
      excluded[result.excluded] = (excluded[result.excluded] ?? 0) + 1;
      return;
    }
    const { judgement, origin } = result;
    if (judgement) hits.push(hitOf(exchange, judgement, origin, maxRecordedBodyBytes));
    inspected += 1;
  };

  const careful = isCareful(pending);
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
  return { inspected, excluded, dropped, hits };
}

function hitOf(
  exchange: Exchange,
  judgement: Judgement,
  origin: Origin,
  maxRecordedBodyBytes: number,
): NewHit {
  const { target, ...seen } = exchange;
  const { type, score, deciding, matches, mark } = judgement;
  return {
    type,
    target,
    endpoint: endpointOf(exchange.request),
    parameter: parameterOf(deciding),
    exchange: { ...seen, origin, request: recordedRequest(exchange.request, maxRecordedBodyBytes) },
    score,
    matches,
    deciding: deciding.id,
    mark,
  };
}
