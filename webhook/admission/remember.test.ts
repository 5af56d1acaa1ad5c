import test from 'ava';
import { fakeLog } from '../cluster/fake/log.ts';
import type { PodFacts, Verdict } from '../intent/model.ts';
import { noMetrics } from './metrics.ts';
import { createRememberer, type Remember } from './remember.ts';

const pod = { namespace: 'shop' } as PodFacts;
const verdict = { mirrored: true } as Verdict;

function rememberer(remember: Remember, budgetMs = 20) {
  const log = fakeLog();
  const counts = { late: 0, failed: 0, skipped: 0 };
  const metrics = {
    ...noMetrics,
    writeLate: () => void counts.late++,
    writeFailed: () => void counts.failed++,
    writeSkipped: () => void counts.skipped++,
  };
  const inTime = createRememberer({ remember, budgetMs, log, metrics });
  return { log, counts, remember: () => inTime(pod, verdict) };
}

test('a write within the budget is waited for', async (t) => {
  let written = false;
  const { remember, counts } = rememberer(async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    written = true;
  }, 10_000);
  await remember();
  t.true(written);
  t.deepEqual(counts, { late: 0, failed: 0, skipped: 0 });
});

test('a write that is not needed costs no timer', async (t) => {
  const { remember, counts } = rememberer(() => {}, 1e9);
  await remember();
  t.is(counts.late, 0);
});

test('a write over the budget goes on alone, and its failure is told and counted', async (t) => {
  const { promise, reject } = Promise.withResolvers<void>();
  const { remember, counts, log } = rememberer(() => promise);
  await remember();
  t.deepEqual(counts, { late: 1, failed: 0, skipped: 0 });
  reject(new Error('patch podmirror-intent: 503'));
  await new Promise(setImmediate);
  t.is(counts.failed, 1);
  t.deepEqual(log.lines, [
    'warn write intent at admission: patch podmirror-intent: 503. Pods are admitted all the same, and the controller writes it later',
  ]);
});

test('an outage is one line at its start and one at its end', async (t) => {
  let broken = true;
  const { remember, counts, log } = rememberer(() => {
    if (broken) throw new Error('connect ECONNREFUSED');
  });
  for (let n = 0; n < 5; n++) await remember();
  broken = false;
  await remember();
  await remember();
  t.is(counts.failed, 5);
  t.is(log.lines.length, 2);
  t.is(log.lines[1], 'info intent is written at admission again, after 5 failures');
});

test('writes that never end are bounded in number, and the rest is left to the controller', async (t) => {
  let calls = 0;
  const { remember, counts } = rememberer(() => {
    calls++;
    return new Promise<void>(() => {});
  }, 1);
  await Promise.all(Array.from({ length: 1100 }, remember));
  t.is(calls, 1024);
  t.deepEqual(counts, { late: 1024, failed: 0, skipped: 76 });
});
