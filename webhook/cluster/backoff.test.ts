import test from 'ava';
import { ApiError, statusError } from './api-error.ts';
import { backoffMs } from './backoff.ts';
import { fakeClock } from './fake/clock.ts';

const least = fakeClock({ random: () => 0 });
const most = fakeClock({ random: () => 0.999_999 });

test('waits double up to 30 s, with jitter over the upper half', (t) => {
  t.deepEqual(
    [1, 2, 3, 4].map((failures) => backoffMs(failures, most)),
    [250, 500, 1000, 2000],
  );
  t.deepEqual(
    [1, 2, 3, 4].map((failures) => backoffMs(failures, least)),
    [125, 250, 500, 1000],
  );
  t.is(backoffMs(1e6, most), 30_000);
});

test('what the server asks for is waited in full, up to a minute, and the jitter comes on top', (t) => {
  const asks = (ms: number) => new ApiError('x', 429, '', '', ms);
  t.is(backoffMs(1, least, asks(5000)), 5125);
  t.is(backoffMs(1, least, asks(1e9)), 60_125);
  t.is(backoffMs(1, least, new Error('reset')), 125);
  t.is(statusError('x', 0, { code: 429, details: { retryAfterSeconds: 3 } }).retryAfterMs, 3000);
});
