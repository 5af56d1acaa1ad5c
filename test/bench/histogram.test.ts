import test from 'ava';
import { histogramOf, meanMs, since, together } from './histogram.ts';

const text = (fast: number, slow: number) => `# TYPE x_seconds histogram
x_seconds_bucket{verb="POST",code="201",le="0.005"} ${fast}
x_seconds_bucket{verb="POST",code="201",le="+Inf"} ${fast + slow}
x_seconds_sum{verb="POST",code="201"} ${fast * 0.001 + slow * 0.01}
x_seconds_count{verb="POST",code="201"} ${fast + slow}
x_seconds_bucket{verb="POST",code="409",le="0.005"} 1
x_seconds_sum{verb="POST",code="409"} 0.001
x_seconds_count{verb="POST",code="409"} 1
x_seconds_count{verb="GET",code="200"} 50
x_seconds_other_count{verb="POST",code="201"} 70
`;

test('series of a histogram with these labels are taken together, and others are left', (t) => {
  const { count, sumSeconds, upTo } = histogramOf(text(3, 1), 'x_seconds', ['verb="POST"']);
  t.is(count, 5);
  t.deepEqual([...upTo], [[0.005, 4]]);
  t.is(sumSeconds.toFixed(4), '0.0140');
});

test('what came between two readings has its own mean', (t) => {
  const read = (fast: number, slow: number) =>
    histogramOf(text(fast, slow), 'x_seconds', ['verb="POST"', 'code="201"']);
  const between = since(read(3, 1), read(3, 6));
  t.is(between.count, 5);
  t.is(meanMs(between).toFixed(3), '10.000');
  t.is(meanMs(together([between, between])).toFixed(3), '10.000');
});
