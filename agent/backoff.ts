// How long to wait before the next attempt.

// Full jitter: agents that lost the same processor at the same moment do not come back at the same moment.
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
const baseMs = 200;
// The queue here holds seconds to minutes of traffic, so a processor that is back must be found soon.
const capMs = 10_000;
// A processor that asks for more than this is asked again anyway: the queue here is bounded.
const maxRetryAfterMs = 60_000;

/**
 * Milliseconds until attempt `attempt + 1`, `attempt` from 0. What the server asked for is waited in full
 * (bounded), and the jitter comes on top of it. `random` lies in [0, 1).
 */
export function backoffMs({
  attempt,
  retryAfterMs = 0,
  random,
}: {
  attempt: number;
  retryAfterMs?: number | undefined;
  random: number;
}): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return Math.round(Math.min(retryAfterMs, maxRetryAfterMs) + random * ceiling);
}

/** Retry-After in milliseconds: seconds or an HTTP date (RFC 9110 §10.2.3); undefined when it is neither. */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000;
  const dateMs = Date.parse(value);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - nowMs);
}
