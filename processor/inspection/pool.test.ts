import test, { type ExecutionContext } from 'ava';
import { connectorSchema, realIpSchema } from '../connector/schema.ts';
import { decodeBatch, type Exchange } from '../exchange.ts';
import { encodeBatch } from '../fake/batch.ts';
import { createPool } from './pool.ts';

const connector = { connector: connectorSchema.parse({}), realIp: realIpSchema.parse({}) };

function fakePool(t: ExecutionContext, workers = 1) {
  const troubles: string[] = [];
  const pool = createPool({
    workers,
    timeoutMs: 300,
    settings: {
      rulesFiles: [],
      maxBodyBytes: 1,
      maxArguments: 1,
      threshold: 5,
      maxRecordedBodyBytes: 1,
      connector,
    },
    onTrouble: (message) => troubles.push(message),
    file: new URL('../fake/worker.js', import.meta.url),
  });
  t.teardown(() => pool.close());
  return { pool, troubles };
}

const asking = (target: string) => decodeBatch(encodeBatch([{ target }])).exchanges[0] as Exchange;

test('many exchanges share few workers', async (t) => {
  const { pool } = fakePool(t, 2);
  const results = await Promise.all(Array.from({ length: 50 }, () => pool.inspect(asking('/'))));
  t.true(results.every((result) => 'judgement' in result));
});

test('a worker that dies loses one exchange and is replaced', async (t) => {
  const { pool, troubles } = fakePool(t);
  const [lost, next] = await Promise.all([pool.inspect(asking('/crash')), pool.inspect(asking('/'))]);
  t.like(lost, { dropped: 'worker_crash' });
  t.like(next, { judgement: null });
  t.deepEqual(troubles, ['worker ended (3): no reason given']);
});

test('an inspection over its time is given up and its worker replaced', async (t) => {
  const { pool, troubles } = fakePool(t);
  const [lost, next] = await Promise.all([pool.inspect(asking('/hang')), pool.inspect(asking('/'))]);
  t.like(lost, { dropped: 'timeout' });
  t.like(next, { judgement: null });
  t.is(troubles.length, 1);
});

test('an error in an inspection keeps the worker', async (t) => {
  const { pool, troubles } = fakePool(t);
  t.like(await pool.inspect(asking('/error')), { dropped: 'inspection_error', message: 'no' });
  t.deepEqual(troubles, []);
});

test('a closed pool rejects what waits', async (t) => {
  const { pool } = fakePool(t);
  const waiting = [pool.inspect(asking('/hang')), pool.inspect(asking('/'))];
  await pool.close();
  for (const result of waiting) await t.throwsAsync(result, { message: 'the pool is closed' });
});
