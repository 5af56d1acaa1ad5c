import test from 'ava';
import fc from 'fast-check';
import { backoffMs, parseRetryAfter } from './backoff.ts';

test('the wait grows to 10 s with full jitter, and no attempt waits longer than that', (t) => {
  const most = (attempt: number) => backoffMs({ attempt, random: 0.999_999 });
  t.deepEqual([0, 1, 2, 3].map(most), [200, 400, 800, 1600]);
  t.is(most(100_000), 10_000);
  t.is(backoffMs({ attempt: 5, random: 0 }), 0);
});

test('what the server asks for is waited in full, up to a minute', (t) => {
  fc.assert(
    fc.property(
      fc.nat(50),
      fc.nat(1e9),
      fc.double({ min: 0, max: 0.99, noNaN: true }),
      (attempt, retryAfterMs, random) => {
        const waitMs = backoffMs({ attempt, retryAfterMs, random });
        return waitMs >= Math.min(retryAfterMs, 60_000) && waitMs <= 90_000;
      },
    ),
  );
  t.pass();
});

const now = Date.parse('2026-01-01T00:00:00Z');
const headers: [string | undefined, number | undefined][] = [
  ['3', 3000],
  [' 0 ', 0],
  ['Thu, 01 Jan 2026 00:00:05 GMT', 5000],
  ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
  ['soon', undefined],
  [undefined, undefined],
];

for (const [value, ms] of headers) {
  test(`Retry-After ${value} is ${ms} ms`, (t) => t.is(parseRetryAfter(value, now), ms));
}
