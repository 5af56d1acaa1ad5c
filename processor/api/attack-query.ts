// The query of GET /api/attacks.
import { Refusal } from '../errors.ts';
import { type AttackType, attackTypes } from '../inspection/attack-type.ts';
import type { Cursor } from '../store/store.ts';

const defaultLimit = 50;
const maxLimit = 500;
const types: readonly AttackType[] = [...new Set(attackTypes.map(({ type }) => type))];
const names = ['type', 'limit', 'before'];

export interface AttackQuery {
  type?: AttackType;
  limit: number;
  before?: Cursor;
}

/** Throws Refusal bad_query with `<where>: <what is wrong>. <what to write instead>`. */
export function attackQuery(query: Record<string, unknown>): AttackQuery {
  const unknown = Object.keys(query).find((name) => !names.includes(name));
  if (unknown !== undefined) throw bad(unknown, 'no such parameter', `Use ${names.join(', ')}`);
  return {
    ...(given(query.type) && { type: typeOf(query.type) }),
    limit: given(query.limit) ? limitOf(query.limit) : defaultLimit,
    ...(given(query.before) && { before: cursorOf(query.before) }),
  };
}

/** A form sends an empty field for "any". */
const given = (value: unknown): boolean => value !== undefined && value !== '';

function typeOf(value: unknown): AttackType {
  const type = types.find((type) => type === value);
  if (!type) throw bad('type', `${show(value)} is no type of attack`, `Write one of ${types.join(', ')}`);
  return type;
}

function limitOf(value: unknown): number {
  const limit = typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : 0;
  if (limit < 1 || limit > maxLimit)
    throw bad('limit', `${show(value)} does not fit`, `Write 1 to ${maxLimit}`);
  return limit;
}

function cursorOf(value: unknown): Cursor {
  const [, lastMs, id] = (typeof value === 'string' && value.match(/^(\d{1,15})-(\d{1,15})$/)) || [];
  if (!lastMs || !id)
    throw bad('before', `${show(value)} is no place in the list`, 'Write the "next" of an earlier answer');
  return { lastMs: Number(lastMs), id: Number(id) };
}

function bad(where: string, what: string, instead: string): Refusal {
  return new Refusal('bad_query', { detail: `${where}: ${what}. ${instead}` });
}

const show = (value: unknown): string => JSON.stringify(value).slice(0, 60);
