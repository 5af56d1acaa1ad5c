import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'ava';
import { decodeBatch, type Exchange } from '../exchange.ts';
import { encodeBatch } from '../fake/batch.ts';
import { openSqlite } from './sqlite.ts';
import { type NewHit, StoreUnavailable } from './store.ts';

const hourMs = 3_600_000;
const outcome = (hits: NewHit[] = []) => ({ inspected: hits.length, excluded: {}, dropped: {}, hits });

function hit(startMs: number, over: Partial<NewHit> = {}): NewHit {
  const { target, ...exchange } = decodeBatch(encodeBatch([{ target: '/a?x=1' }], { nowMs: startMs }))
    .exchanges[0] as Exchange;
  return {
    type: 'sqli',
    target,
    endpoint: 'GET /a',
    parameter: 'ARGS:x',
    exchange,
    score: 5,
    matches: [],
    deciding: 1,
    mark: null,
    ...over,
  };
}

function storeWith(...hits: NewHit[]) {
  const store = openSqlite(':memory:');
  store.accept({ id: randomBytes(16), body: Buffer.from('x'), exchanges: hits.length, nowMs: 0 });
  for (const { seq } of store.take(0, 1)) store.finish(seq, outcome(hits));
  return store;
}

test('the same batch id is stored once', (t) => {
  const store = openSqlite(':memory:');
  const batch = { id: randomBytes(16), body: Buffer.from('x'), exchanges: 3, nowMs: 0 };
  t.deepEqual([store.accept(batch), store.accept(batch)], ['stored', 'duplicate']);
  t.like(store.stats(), { batches: 1, received: 3, pending: 3, duplicateBatches: 1, duplicateExchanges: 3 });
  t.deepEqual(store.backlog(), { batches: 1, bytes: 1 });
});

test('received = inspected + excluded + dropped + pending', (t) => {
  const store = openSqlite(':memory:');
  for (let count = 0; count < 3; count++)
    store.accept({ id: randomBytes(16), body: Buffer.from('x'), exchanges: 4, nowMs: 0 });
  const [first] = store.take(0, 1);
  store.finish(first?.seq ?? 0, {
    inspected: 1,
    excluded: { bypassed: 1, mode_off: 1 },
    dropped: { timeout: 1 },
    hits: [],
  });
  t.like(store.stats(), {
    received: 12,
    inspected: 1,
    excluded: { bypassed: 1, mode_off: 1 },
    dropped: { timeout: 1 },
    pending: 8,
  });
});

test('a batch remembers what was inspected when the process died', (t) => {
  const store = openSqlite(':memory:');
  store.accept({ id: randomBytes(16), body: Buffer.from('x'), exchanges: 4, nowMs: 0 });
  store.take(0, 1);
  store.suspect(1, 2);
  t.like(store.take(0, 1)[0], { attempts: 2, skipped: [2] });
  t.like(store.take(0, 1)[0], { attempts: 3, skipped: [2] });
});

test('hits within an hour are one attack, later ones another', (t) => {
  const store = storeWith(hit(hourMs), hit(1.5 * hourMs), hit(2.5 * hourMs), hit(4 * hourMs));
  t.deepEqual(
    store.attacks({ limit: 10 }).map(({ hits, firstMs }) => [hits, firstMs]),
    [
      [1, 4 * hourMs],
      [3, hourMs],
    ],
  );
});

test('another type, endpoint or parameter is another attack', (t) => {
  const store = storeWith(
    hit(1),
    hit(1, { type: 'xss' }),
    hit(1, { endpoint: 'GET /b' }),
    hit(1, { parameter: 'ARGS:y' }),
  );
  t.is(store.attacks({ limit: 10 }).length, 4);
  t.deepEqual(
    store.attacks({ limit: 10, type: 'xss' }).map(({ type }) => type),
    ['xss'],
  );
});

test('pages of attacks neither repeat nor skip', (t) => {
  const store = storeWith(...Array.from({ length: 7 }, (_, index) => hit(1, { endpoint: `GET /${index}` })));
  const first = store.attacks({ limit: 4 });
  const last = first.at(-1);
  const rest = store.attacks({ limit: 4, ...(last && { before: last }) });
  t.deepEqual(
    [...first, ...rest].map(({ id }) => id),
    [7, 6, 5, 4, 3, 2, 1],
  );
});

test('a flood of one attack is counted whole and recorded in part', (t) => {
  const store = storeWith(...Array.from({ length: 150 }, () => hit(1)));
  t.like(store.attack(1), { hits: 150 });
  store.prune({ maxHits: 20, keepDays: 1 }, 1);
  t.is(store.attack(1)?.recorded.length, 20);
});

test('what is too old is removed, with attacks that have nothing left', (t) => {
  const store = storeWith(hit(1), hit(100 * hourMs, { type: 'xss' }));
  store.prune({ maxHits: 10, keepDays: 1 }, 101 * hourMs);
  t.deepEqual(
    store.attacks({ limit: 10 }).map(({ type }) => type),
    ['xss'],
  );
});

test('a file that cannot be opened is named with what to do', (t) => {
  t.throws(() => openSqlite('/dev/null/x.db'), {
    message: /^open store \/dev\/null\/x\.db: .*\. Give a writable file/,
  });
});

test('the folder of the file is made, for its owner only', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'podmirror-store-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  openSqlite(join(folder, 'a/b/x.db')).close();
  t.is(statSync(join(folder, 'a')).mode & 0o777, 0o700);
});

test('a file that another program holds is trouble that may pass', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'podmirror-store-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'x.db');
  const store = openSqlite(file, { busyTimeoutMs: 10 });
  const other = new DatabaseSync(file);
  other.exec('BEGIN IMMEDIATE');
  const batch = { id: randomBytes(16), body: Buffer.from('x'), exchanges: 1, nowMs: 0 };
  const error = t.throws(() => store.accept(batch), { instanceOf: StoreUnavailable });
  t.regex(error.message, /in use elsewhere .*\. End the other program/);
  other.exec('ROLLBACK');
  t.is(store.accept(batch), 'stored');
  other.close();
  store.close();
});

test('a batch that comes again after days is known', (t) => {
  const store = openSqlite(':memory:');
  const batch = { id: randomBytes(16), body: Buffer.from('x'), exchanges: 1, nowMs: 0 };
  store.accept(batch);
  store.prune({ maxHits: 10, keepDays: 1 }, 6 * 24 * hourMs);
  t.is(store.accept(batch), 'duplicate');
  store.prune({ maxHits: 10, keepDays: 30 }, 29 * 24 * hourMs);
  t.is(store.accept(batch), 'duplicate');
  store.prune({ maxHits: 10, keepDays: 1 }, 8 * 24 * hourMs);
  t.is(store.accept(batch), 'stored');
});

test('a file of an earlier podmirror keeps its attacks, with the client as peer', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'podmirror-store-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'old.db');
  const first = openSqlite(file);
  first.accept({ id: randomBytes(16), body: Buffer.from('x'), exchanges: 1, nowMs: 0 });
  for (const { seq } of first.take(0, 1)) first.finish(seq, outcome([hit(hourMs)]));
  first.close();
  const db = new DatabaseSync(file);
  db.exec('ALTER TABLE attack DROP COLUMN peer_address; PRAGMA user_version = 1');
  db.close();

  const store = openSqlite(file);
  t.teardown(() => store.close());
  t.like(store.attacks({ limit: 1 })[0], { clientAddress: '10.0.0.1', peerAddress: '10.0.0.1' });
});
