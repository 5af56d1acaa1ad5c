// The store in one SQLite file (`node:sqlite`).
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import type { Exclusion } from '../connector/connector.ts';
import { recordHit } from './hits.ts';
import { migrate } from './migrations.ts';
import { readAttack, readAttacks } from './reading.ts';
import { type LossReason, type Outcome, type Stats, type Store, StoreUnavailable } from './store.ts';

// An agent tries for as long as it runs: a batch whose answer was lost may come again after days without network.
const minRememberBatchIdsDays = 7;
const dayMs = 24 * 3_600_000;

/**
 * Opens or makes the file, and its folder. Throws `open store <file>: <cause>. <what to do>`.
 *
 * WAL with synchronous=FULL: each commit is on the disk before it returns, so what was acknowledged survives
 * kill -9 and, as far as the disk keeps its word about fsync, loss of power. NORMAL would survive only the
 * first. It costs one fsync for each batch, not for each exchange.
 */
export function openSqlite(file: string, { busyTimeoutMs = 5000 } = {}): Store {
  let db: DatabaseSync;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    db = new DatabaseSync(file, { timeout: busyTimeoutMs });
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;');
    // A WAL that grew in a burst gives its space back.
    db.exec('PRAGMA journal_size_limit = 67108864');
    migrate(db);
  } catch (cause) {
    const advice = 'Give a writable file on a local disk with space in store.file';
    throw new Error(`open store ${file}: ${(cause as Error).message}. ${advice}`, { cause });
  }
  return createStore(db);
}

function createStore(db: DatabaseSync): Store {
  const sql = (text: string) => {
    const statement = db.prepare(text);
    return {
      run: (...values: SQLInputValue[]) => guard(() => statement.run(...values)),
      all: <Row>(...values: SQLInputValue[]) => guard(() => statement.all(...values) as Row[]),
    };
  };
  const addBatch = sql('INSERT INTO batch (id, received_ms) VALUES (?, ?) ON CONFLICT DO NOTHING');
  const addInbox = sql('INSERT INTO inbox (body, exchanges) VALUES (?, ?)');
  const addStat = sql(
    'INSERT INTO stat (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value',
  );
  const takeInbox = sql(`UPDATE inbox SET attempts = attempts + 1, suspect = NULL,
      skipped = CASE WHEN suspect IS NULL THEN skipped ELSE json_insert(skipped, '$[#]', suspect) END
    WHERE seq IN (SELECT seq FROM inbox WHERE seq > ? ORDER BY seq LIMIT ?)
    RETURNING seq, body, exchanges, attempts, skipped`);
  const setSuspect = sql('UPDATE inbox SET suspect = ? WHERE seq = ?');
  const removeInbox = sql('DELETE FROM inbox WHERE seq = ? RETURNING length(body) AS bytes');
  const allStats = sql('SELECT name, value FROM stat');
  const sumInbox = sql(
    'SELECT count(*) AS batches, coalesce(sum(length(body)), 0) AS bytes, coalesce(sum(exchanges), 0) AS exchanges FROM inbox',
  );

  const count = (name: string, amount: number) => {
    if (amount > 0) addStat.run(name, amount);
  };
  const transaction = <T>(body: () => T): T => {
    guard(() => db.exec('BEGIN IMMEDIATE'));
    try {
      const result = body();
      guard(() => db.exec('COMMIT'));
      return result;
    } catch (error) {
      // On a full disk SQLite may have rolled back by itself.
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  };
  const size = () => sumInbox.all<{ batches: number; bytes: number; exchanges: number }>()[0];
  const backlog = { batches: size()?.batches ?? 0, bytes: size()?.bytes ?? 0 };

  return {
    accept: ({ id, body, exchanges, nowMs }) => {
      const isNew = transaction(() => {
        const isNew = addBatch.run(id, nowMs).changes === 1;
        if (isNew) addInbox.run(body, exchanges);
        count(isNew ? 'batches' : 'duplicateBatches', 1);
        count(isNew ? 'received' : 'duplicateExchanges', exchanges);
        return isNew;
      });
      if (!isNew) return 'duplicate';
      backlog.batches += 1;
      backlog.bytes += body.length;
      return 'stored';
    },
    backlog: () => ({ ...backlog }),
    take: (afterSeq, limit) => {
      type Row = { seq: number; body: Uint8Array; exchanges: number; attempts: number; skipped: string };
      const rows = transaction(() => takeInbox.all<Row>(afterSeq, limit));
      return rows
        .map((row) => ({ ...row, skipped: JSON.parse(row.skipped) as number[] }))
        .sort((a, b) => a.seq - b.seq);
    },
    suspect: (seq, index) => {
      setSuspect.run(index, seq);
    },
    finish: (seq, outcome: Outcome) => {
      const bytes = transaction(() => {
        const removed = removeInbox.all<{ bytes: number }>(seq)[0];
        if (!removed) return undefined;
        count('inspected', outcome.inspected);
        for (const [reason, amount] of Object.entries(outcome.excluded)) count(`excluded.${reason}`, amount);
        for (const [reason, amount] of Object.entries(outcome.dropped)) count(`dropped.${reason}`, amount);
        count('hits', outcome.hits.length);
        for (const hit of outcome.hits) guard(() => recordHit(db, hit));
        return removed.bytes;
      });
      if (bytes === undefined) return;
      backlog.batches -= 1;
      backlog.bytes -= bytes;
    },

    attacks: (query) => guard(() => readAttacks(db, query)),
    attack: (id) => guard(() => readAttack(db, id)),
    stats: () => toStats(allStats.all(), size()?.exchanges ?? 0),

    prune: ({ maxHits, keepDays }, nowMs) => {
      transaction(() => {
        sql('DELETE FROM batch WHERE received_ms < ?').run(
          nowMs - Math.max(keepDays, minRememberBatchIdsDays) * dayMs,
        );
        sql('DELETE FROM hit WHERE time_ms < ?').run(nowMs - keepDays * dayMs);
        sql('DELETE FROM hit WHERE id <= (SELECT id FROM hit ORDER BY id DESC LIMIT 1 OFFSET ?)').run(
          maxHits,
        );
        sql('DELETE FROM attack WHERE NOT EXISTS (SELECT 1 FROM hit WHERE hit.attack = attack.id)').run();
      });
    },
    probe: () => {
      transaction(() => addStat.run('probes', 1));
    },
    close: () => db.close(),
  };
}

function toStats(rows: { name: string; value: number }[], pending: number): Stats {
  const values = new Map(rows.map(({ name, value }) => [name, value]));
  const byReason = <Reason extends string>(prefix: string) =>
    Object.fromEntries(
      rows.flatMap(({ name, value }) =>
        name.startsWith(prefix) ? [[name.slice(prefix.length), value] as const] : [],
      ),
    ) as Partial<Record<Reason, number>>;
  const value = (name: string) => values.get(name) ?? 0;
  return {
    batches: value('batches'),
    received: value('received'),
    duplicateBatches: value('duplicateBatches'),
    duplicateExchanges: value('duplicateExchanges'),
    inspected: value('inspected'),
    excluded: byReason<Exclusion>('excluded.'),
    dropped: byReason<LossReason>('dropped.'),
    pending,
    hits: value('hits'),
  };
}

const mendDisk = 'Make space on its disk';
const freeFile = 'End the other program that holds it';
// SQLITE_FULL, IOERR, CANTOPEN, READONLY, BUSY, LOCKED: not the fault of what is written, and it may pass.
// https://www.sqlite.org/rescode.html; the low byte is the primary code.
const passingTrouble = new Map([
  [13, { what: 'the disk is full', advice: mendDisk }],
  [10, { what: 'the disk does not take writes', advice: mendDisk }],
  [14, { what: 'the file cannot be opened', advice: mendDisk }],
  [8, { what: 'the file is read-only', advice: mendDisk }],
  [5, { what: 'the file is in use elsewhere', advice: freeFile }],
  [6, { what: 'a table is in use elsewhere', advice: freeFile }],
]);

function guard<T>(action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const { errcode, message } = cause as Error & { errcode?: number };
    const trouble = passingTrouble.get((errcode ?? 0) & 0xff);
    if (trouble === undefined) throw cause;
    throw new StoreUnavailable(`write store: ${trouble.what} (${message}). ${trouble.advice}`, { cause });
  }
}
