// What is told about one exchange, from the rules that matched. Runs in the worker: a hostile request can cost much here.
import type { Exchange } from '../exchange.ts';
import type { Match } from '../modsecurity/modsecurity.ts';
import { locate, type Mark } from './locate.ts';
import { type Verdict, verdictOf } from './verdict.ts';

export interface JudgeOptions {
  /** CRS inbound anomaly score from which a request is an attack. */
  threshold: number;
  /** Of a body, in the record of a hit. */
  maxRecordedBodyBytes: number;
}

export interface Judgement extends Verdict {
  /** In the recorded request. Null: the matched part could not be located. */
  mark: Mark | null;
}

/** Null: no attack. */
export function judge(
  { request }: Pick<Exchange, 'request'>,
  matches: readonly Match[],
  { threshold, maxRecordedBodyBytes }: JudgeOptions,
): Judgement | null {
  const verdict = verdictOf(matches, threshold);
  if (!verdict) return null;
  const recorded = recordedRequest(request, maxRecordedBodyBytes);
  return { ...verdict, mark: locate({ request: recorded }, verdict.deciding) };
}

/** With at most that much of the body. */
export function recordedRequest(
  request: Exchange['request'],
  maxRecordedBodyBytes: number,
): Exchange['request'] {
  const body = request.body.slice(0, maxRecordedBodyBytes);
  return { ...request, body, bodyTruncated: request.bodyTruncated || body.length < request.body.length };
}
