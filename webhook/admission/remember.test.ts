import test from 'ava';
import type { PodFacts, Verdict } from '../intent/model.ts';
import { noMetrics } from './metrics.ts';
import { createRememberer, type Remember } from './remember.ts';

const pod = { namespace: 'shop' } as PodFacts;
const verdict = { mirrored: true } as Verdict;

function rememberer(remember: Remember, budgetMs = 20) {
  const counts = { late: 0, failed: 0, skipped: 0 };
  const metrics = {
    ...noMetrics,
    writeLate: () => void counts.late++,
    writeFailed: () => void counts.failed++,
    writeSkipped: () => void counts.skipped++,
  };
  const inTime = createRememberer({ remember, budgetMs, metrics });
  return { counts, remember: () => inTime(pod, verdict) };
}

test('a write within the budget is waited for', async (t) => {
  let written = false;
  const { remember, counts } = rememberer(async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    written = true;
    return 'written';
  }, 10_000);
  await remember();
  t.true(written);
  t.deepEqual(counts, { late: 0, failed: 0, skipped: 0 });
});

for (const [outcome, counted] of [
  ['written', {}],
  ['known', {}],
  ['name-unknown', {}],
  ['other-filters', {}],
  ['failed', { failed: 1 }],
  ['full', { skipped: 1 }],
] as const) {
  test(`the outcome ${outcome} counts ${Object.keys(counted).join() || 'nothing'} and leaves no timer`, async (t) => {
    const { remember, counts } = rememberer(async () => outcome, 1e9);
    await remember();
    t.deepEqual(counts, { late: 0, failed: 0, skipped: 0, ...counted });
  });
}

test('a write over the budget goes on alone, and its failure is counted', async (t) => {
  const { promise, resolve } = Promise.withResolvers<'failed'>();
  const { remember, counts } = rememberer(() => promise);
  await remember();
  t.deepEqual(counts, { late: 1, failed: 0, skipped: 0 });
  resolve('failed');
  await new Promise(setImmediate);
  t.is(counts.failed, 1);
});

test('writes that never end are bounded in number, and the rest is left to the controller', async (t) => {
  let calls = 0;
  const { remember, counts } = rememberer(() => {
    calls++;
    return new Promise(() => {});
  }, 1);
  await Promise.all(Array.from({ length: 1100 }, remember));
  t.is(calls, 1024);
  t.deepEqual(counts, { late: 1024, failed: 0, skipped: 76 });
});
