// Puts a hit into the attack that it belongs to.
import type { DatabaseSync } from 'node:sqlite';
import { pathOf } from '../inspection/endpoint.ts';
import type { NewHit } from './store.ts';

// An attack is over when nothing of it came for this long.
const attackGapMs = 3_600_000;
// The first ones tell the story; all are counted. A flood must not fill the disk.
const maxRecordedHits = 100;

export function recordHit(db: DatabaseSync, hit: NewHit): void {
  const { startMs, connection, request, response, origin } = hit.exchange;
  const target = JSON.stringify(hit.target);
  const shown = [
    origin?.client.address ?? connection.clientAddress,
    connection.clientAddress,
    request.method,
    pathOf(request.target),
    response?.status ?? null,
  ];
  const found = db
    .prepare(
      `SELECT id, hits FROM attack WHERE target = ? AND endpoint = ? AND parameter = ? AND type = ?
         AND last_ms >= ? AND first_ms <= ? ORDER BY last_ms DESC LIMIT 1`,
    )
    .get(target, hit.endpoint, hit.parameter, hit.type, startMs - attackGapMs, startMs + attackGapMs) as
    | { id: number; hits: number }
    | undefined;

  if (found) {
    db.prepare(
      `UPDATE attack SET first_ms = min(first_ms, ?), last_ms = max(last_ms, ?), hits = hits + 1, score = max(score, ?),
         client_address = ?, peer_address = ?, method = ?, path = ?, status = ? WHERE id = ?`,
    ).run(startMs, startMs, hit.score, ...shown, found.id);
    if (found.hits < maxRecordedHits) insertHit(db, found.id, hit);
    return;
  }
  const made = db
    .prepare(
      `INSERT INTO attack (type, target, endpoint, parameter, first_ms, last_ms, hits, score, client_address, peer_address, method, path, status)
       VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?)`,
    )
    .run(hit.type, target, hit.endpoint, hit.parameter, startMs, startMs, hit.score, ...shown);
  insertHit(db, Number(made.lastInsertRowid), hit);
}

function insertHit(db: DatabaseSync, attack: number, hit: NewHit): void {
  db.prepare(
    'INSERT INTO hit (attack, time_ms, score, deciding, exchange, matches, mark) VALUES (?, ?, ?, ?, ?, ?, ?)',
  ).run(
    attack,
    hit.exchange.startMs,
    hit.score,
    hit.deciding,
    JSON.stringify(hit.exchange),
    JSON.stringify(hit.matches),
    JSON.stringify(hit.mark),
  );
}
