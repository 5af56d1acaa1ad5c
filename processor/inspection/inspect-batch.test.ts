import test from 'ava';
import { encodeBatch } from '../fake/batch.ts';
import { inspectBatch } from './inspect-batch.ts';

const body = encodeBatch([{ target: '/a' }, { target: '/b' }, { target: '/c' }]);
const origin = { client: { address: '10.0.0.1' }, host: '' };
const base = {
  maxRecordedBodyBytes: 10,
  onDrop: () => {},
  pool: { inspect: async () => ({ judgement: null, origin }) },
};
const pending = { seq: 1, body, exchanges: 3, attempts: 1, skipped: [] as number[] };

test('every exchange of a batch is inspected or dropped', async (t) => {
  const inspect = async ({ request }: { request: { target: string } }) =>
    request.target === '/b' ? { dropped: 'timeout' as const, message: '' } : { judgement: null, origin };
  const outcome = await inspectBatch({ ...base, pending, pool: { inspect }, suspect: () => t.fail() });
  t.deepEqual(outcome, { inspected: 2, excluded: {}, dropped: { timeout: 1 }, hits: [] });
});

test('a batch that was begun twice goes one by one and leaves out what was fatal', async (t) => {
  const suspects: (number | null)[] = [];
  const outcome = await inspectBatch({
    ...base,
    pending: { ...pending, attempts: 3, skipped: [1] },
    suspect: (index) => suspects.push(index),
  });
  t.deepEqual(suspects, [0, null, 2, null]);
  t.deepEqual(outcome, { inspected: 2, excluded: {}, dropped: { process_crash: 1 }, hits: [] });
});

test('a stored batch that cannot be read any more is counted', async (t) => {
  const outcome = await inspectBatch({
    ...base,
    pending: { ...pending, body: Buffer.from('junk') },
    suspect: () => {},
  });
  t.deepEqual(outcome, { inspected: 0, excluded: {}, dropped: { undecodable: 3 }, hits: [] });
});

test('what the configuration excludes is counted by reason, and no drop', async (t) => {
  const inspect = async ({ request }: { request: { target: string } }) =>
    request.target === '/b' ? { judgement: null, origin } : { excluded: 'bypassed' as const };
  const outcome = await inspectBatch({ ...base, pending, pool: { inspect }, suspect: () => t.fail() });
  t.deepEqual(outcome, { inspected: 1, excluded: { bypassed: 2 }, dropped: {}, hits: [] });
});
