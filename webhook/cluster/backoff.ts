import { ApiError } from './api-error.ts';
import { between, type Clock } from './clock.ts';

const baseMs = 250;
const capMs = 30_000;
// A server that asks for more is asked again anyway: what is known grows old meanwhile.
const maxRetryAfterMs = 60_000;

/**
 * Milliseconds before attempt `failures + 1`; `failures` from 1. Never below half the step, so that a server that
 * comes back is not hammered, and what it asked for (Retry-After) is waited in full with the jitter on top.
 */
export function backoffMs(failures: number, clock: Clock, error?: unknown): number {
  const step = Math.min(capMs, baseMs * 2 ** Math.min(Math.max(failures - 1, 0), 20));
  const asked = error instanceof ApiError ? Math.min(error.retryAfterMs ?? 0, maxRetryAfterMs) : 0;
  return Math.round(asked + between(clock, step / 2, step));
}
