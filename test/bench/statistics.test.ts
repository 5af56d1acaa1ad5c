import test from 'ava';
import { formatQuartiles, formatSpread, medianInterval, spreadOf } from './statistics.ts';

for (const [values, median] of [
  [[3, 1, 2], 2],
  [[4, 1, 2, 3], 2.5],
  [[7], 7],
] as const) {
  test(`the median of ${values.join(', ')} is ${median}`, (t) => {
    t.deepEqual(spreadOf(values), { median, low: Math.min(...values), high: Math.max(...values) });
  });
}

test('no values have no median, lowest or highest', (t) => {
  t.is(formatSpread(spreadOf([])), '– (–––)');
});

test('a spread is told as median, lowest and highest', (t) => {
  t.is(formatSpread({ median: 1.016, low: 1, high: 12_345.678 }), '1.02 (1.00–12,345.68)');
});

test('many values are told as median and quartiles', (t) => {
  t.is(formatQuartiles([5, 1, 2, 3, 400], 0), '3 (2–5)');
});

test('the interval of a median lies among the values and around it', (t) => {
  const values = Array.from({ length: 30 }, (_, i) => 1 + i / 100);
  const [low, high] = medianInterval(values);
  t.true(low > 1.05 && low < 1.145, `${low}`);
  t.true(high < 1.24 && high > 1.145, `${high}`);
});

test('equal values leave no doubt', (t) => {
  t.deepEqual(medianInterval([2, 2, 2]), [2, 2]);
});
