// Reads attacks and their hits.
import type { DatabaseSync } from 'node:sqlite';
import type { AttackType } from '../inspection/attack-type.ts';
import type { Attack, Cursor, Hit } from './store.ts';

// Newest hits that one answer carries.
const maxHitsShown = 50;

const columns = `id, type, target, endpoint, parameter, first_ms AS firstMs, last_ms AS lastMs, hits, score,
  client_address AS clientAddress, peer_address AS peerAddress, method, path, status`;

type AttackRow = Omit<Attack, 'target'> & { target: string };
type HitRow = {
  id: number;
  score: number;
  deciding: number;
  exchange: string;
  matches: string;
  mark: string;
};

export function readAttacks(
  db: DatabaseSync,
  { type, limit, before }: { type?: AttackType; limit: number; before?: Cursor },
): Attack[] {
  const { lastMs, id } = before ?? { lastMs: Number.MAX_SAFE_INTEGER, id: 0 };
  const rows = db
    .prepare(
      `SELECT ${columns} FROM attack WHERE (last_ms, id) < (?, ?) AND (? IS NULL OR type = ?)
       ORDER BY last_ms DESC, id DESC LIMIT ?`,
    )
    .all(lastMs, id, type ?? null, type ?? null, limit) as unknown as AttackRow[];
  return rows.map(toAttack);
}

export function readAttack(db: DatabaseSync, id: number): (Attack & { recorded: Hit[] }) | undefined {
  const row = db.prepare(`SELECT ${columns} FROM attack WHERE id = ?`).get(id) as AttackRow | undefined;
  if (!row) return undefined;
  const hits = db
    .prepare(
      'SELECT id, score, deciding, exchange, matches, mark FROM hit WHERE attack = ? ORDER BY id DESC LIMIT ?',
    )
    .all(id, maxHitsShown) as unknown as HitRow[];
  return { ...toAttack(row), recorded: hits.map(toHit) };
}

const toAttack = (row: AttackRow): Attack => ({ ...row, target: JSON.parse(row.target) });

const toHit = (row: HitRow): Hit => ({
  ...row,
  exchange: JSON.parse(row.exchange),
  matches: JSON.parse(row.matches),
  mark: JSON.parse(row.mark),
});
