// The schema, step by step; `PRAGMA user_version` says how many steps a file has behind it. Never edit a step: add one.
import type { DatabaseSync } from 'node:sqlite';

const migrations: readonly string[] = [
  `
  CREATE TABLE batch (
    id BLOB PRIMARY KEY,
    received_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX batch_by_age ON batch (received_ms);

  CREATE TABLE inbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    body BLOB NOT NULL,
    exchanges INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    suspect INTEGER,
    skipped TEXT NOT NULL DEFAULT '[]'
  );

  CREATE TABLE attack (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    target TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    parameter TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    hits INTEGER NOT NULL,
    score INTEGER NOT NULL,
    client_address TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER
  );
  CREATE INDEX attack_by_group ON attack (target, endpoint, parameter, type, last_ms);
  CREATE INDEX attack_by_time ON attack (last_ms, id);

  CREATE TABLE hit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    attack INTEGER NOT NULL REFERENCES attack (id),
    time_ms INTEGER NOT NULL,
    score INTEGER NOT NULL,
    deciding INTEGER NOT NULL,
    exchange TEXT NOT NULL,
    matches TEXT NOT NULL,
    mark TEXT NOT NULL
  );
  CREATE INDEX hit_by_attack ON hit (attack, id);
  CREATE INDEX hit_by_time ON hit (time_ms);

  CREATE TABLE stat (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
  ) WITHOUT ROWID;
  `,
  `
  ALTER TABLE attack ADD COLUMN peer_address TEXT NOT NULL DEFAULT '';
  UPDATE attack SET peer_address = client_address;
  `,
];

/** Throws when the file was written by a newer podmirror. */
export function migrate(db: DatabaseSync): void {
  const row = db.prepare('PRAGMA user_version').get() as { user_version: number };
  const done = row.user_version;
  if (done > migrations.length) {
    throw new Error(
      `schema version ${done}, this podmirror knows ${migrations.length}. Run the newer podmirror, or name another file`,
    );
  }
  for (const [index, sql] of migrations.entries()) {
    if (index < done) continue;
    db.exec(`BEGIN IMMEDIATE; ${sql} PRAGMA user_version = ${index + 1}; COMMIT;`);
  }
}
