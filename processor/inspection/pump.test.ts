import test from 'ava';
import type { Pending } from '../store/store.ts';
import { startPump } from './pump.ts';

const outcome = { inspected: 1, excluded: {}, dropped: {}, hits: [] };
const pendings = (...attempts: number[]): Pending[] =>
  attempts.map((attempts, index) => ({
    seq: index + 1,
    body: Buffer.alloc(0),
    exchanges: 1,
    attempts,
    skipped: [],
  }));

/** A store with these batches; `done` resolves when all are finished. */
function storeOf(inbox: Pending[], beforeFinish: () => void = () => {}) {
  const finished: number[] = [];
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const take = (afterSeq: number, limit: number) => inbox.filter(({ seq }) => seq > afterSeq).slice(0, limit);
  const finish = (seq: number) => {
    beforeFinish();
    finished.push(seq);
    if (finished.length === inbox.length) resolve();
  };
  return { store: { take, finish }, finished, done };
}

test('an inspection or a record that fails for any reason is tried again', async (t) => {
  const failures = [new Error('inspect'), new Error('database is locked')];
  const fail = () => {
    const failure = failures.shift();
    if (failure) throw failure;
  };
  const { store, finished, done } = storeOf(pendings(1), fail);
  const troubles: string[] = [];
  const pump = startPump({
    store,
    maxBatches: 1,
    runsAlone: () => false,
    retryMs: 1,
    inspect: async () => {
      if (failures.length === 2) fail();
      return outcome;
    },
    onTrouble: ({ message }) => troubles.push(message),
  });
  await done;
  await pump.stop(1000);
  t.deepEqual(finished, [1]);
  t.deepEqual(troubles, ['inspect', 'database is locked']);
});

test('a batch that runs alone has nothing beside it, and the others share', async (t) => {
  const { store, finished, done } = storeOf(pendings(1, 1, 3, 3, 1, 1));
  const running = new Set<number>();
  const beside: number[][] = [];
  const pump = startPump({
    store,
    maxBatches: 3,
    runsAlone: ({ attempts }) => attempts > 2,
    inspect: async ({ seq }) => {
      running.add(seq);
      beside.push([...running]);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running.delete(seq);
      return outcome;
    },
    onTrouble: ({ message }) => t.fail(message),
  });
  await done;
  await pump.stop(1000);
  t.deepEqual(beside, [[1], [1, 2], [3], [4], [5], [5, 6]]);
  t.deepEqual(finished, [1, 2, 3, 4, 5, 6]);
});
