// The intent as ConfigMap data and back: `_meta`, and a key for each class that is mirrored.
import { z } from 'zod';
import type { Meta } from './class.ts';
import { maxFilters } from './filter-schema.ts';
import type { Grant } from './model.ts';
import { sizeOf } from './patches.ts';
import { patternOf } from './pattern.ts';
import { MAX_SHARDS, META_KEY, shardName, shardOf } from './shard.ts';
import { quote } from './show.ts';

export { patchesFor, type ShardPatch } from './patches.ts';
export { INTENT_NAME, MAX_SHARDS, META_KEY, shardName, shardOf } from './shard.ts';

export interface Intent {
  meta: Meta;
  /** Class id to grants; a class without grants has no entry. */
  classes: Map<string, Grant[]>;
}

// The API server refuses more than 1 MiB; the rest is room for what replicas add before the next shard comes.
const maxShardBytes = 700 * 1024;

/**
 * The data of each shard; keys are sorted, so equal intents give equal text. Never fewer shards than `meta.shards`.
 * Throws when it is too much: see fitIntent.
 */
export function encodeIntent(intent: Intent): Record<string, string>[] {
  const data = layOut(intent);
  if (data) return data;
  throw new Error(
    `intent does not fit into ${MAX_SHARDS} ConfigMaps of ${maxShardBytes} bytes: ${intent.classes.size} classes`,
  );
}

/** undefined: it is too much. */
export function layOut({ meta, classes }: Intent): Record<string, string>[] | undefined {
  const entries = [...classes]
    .filter(([, grants]) => grants.length > 0)
    .map(([id, grants]) => [id, encodeGrants(grants)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  for (let shards = 1; shards <= MAX_SHARDS; shards *= 2) {
    if (shards < meta.shards) continue;
    const data = distribute(entries, { ...meta, shards });
    if (data.every((shard) => sizeOf(shard) <= maxShardBytes)) return data;
  }
  return undefined;
}

function distribute(entries: (readonly [string, string])[], meta: Meta): Record<string, string>[] {
  const data = Array.from({ length: meta.shards }, () => ({ [META_KEY]: encodeMeta(meta) }));
  for (const [id, grants] of entries) Object.assign(data[shardOf(id, meta.shards)] ?? {}, { [id]: grants });
  return data;
}

function encodeGrants(grants: Grant[]): string {
  return JSON.stringify(grants.map(({ containers, nodes, because }) => ({ containers, nodes, because })));
}

function encodeMeta({ version, labelKeys, annotationKeys, namePatterns, filtersHash, shards }: Meta): string {
  return JSON.stringify({ version, labelKeys, annotationKeys, namePatterns, filtersHash, shards });
}

const words = z.array(z.string().max(8192)).max(maxFilters * 32);
const metaSchema = z.object({
  version: z.literal(1),
  labelKeys: words,
  annotationKeys: words,
  namePatterns: words,
  filtersHash: z.string().max(128),
  shards: z.union([z.literal(1), z.literal(2), z.literal(4), z.literal(MAX_SHARDS)]),
});
const pattern = z.string().refine((source) => patternOf(source) !== undefined);
const patterns = z.array(pattern).min(1).max(64);
const grantsSchema = z
  .array(z.object({ containers: patterns, nodes: patterns, because: z.string().max(1024) }))
  .min(1)
  .max(maxFilters);
const classId = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.[0-9a-f]{16}$/;

/**
 * What is written in the shards, `undefined` for one that is not there. Never throws: a bad entry is left out and
 * named, as if nobody had asked for it; without a `_meta` that we know, nothing can be said and the intent is null.
 */
export function decodeIntent(shards: (Record<string, string> | undefined)[]): {
  intent: Intent | null;
  problems: string[];
} {
  const [first] = shards;
  if (!first) return { intent: null, problems: [`${shardName(0)} is not there`] };
  const meta = decodeMeta(first[META_KEY]);
  if (typeof meta === 'string') return { intent: null, problems: [`${shardName(0)}: ${meta}`] };
  const problems: string[] = [];
  const classes = new Map<string, Grant[]>();
  for (let index = 0; index < Math.max(meta.shards, shards.length); index++) {
    const data = shards[index];
    const inUse = index < meta.shards;
    if (inUse && !data) problems.push(`${shardName(index)} is not there`);
    if (inUse && data) decodeShard(data, index, meta, classes, problems);
    if (!inUse && data && Object.keys(data).length > 0) {
      problems.push(`${shardName(index)} is not in use and left out`);
    }
  }
  return { intent: { meta, classes }, problems: boundedSentences(problems) };
}

function decodeShard(
  data: Record<string, string>,
  index: number,
  meta: Meta,
  classes: Map<string, Grant[]>,
  problems: string[],
): void {
  if (index > 0 && data[META_KEY] !== encodeMeta(meta)) {
    problems.push(`${shardName(index)}: its ${META_KEY} is not that of ${shardName(0)}`);
  }
  for (const [key, value] of Object.entries(data)) {
    if (key === META_KEY) continue;
    const grants = classId.test(key) ? decodeGrants(value) : 'no class id';
    const misplaced = shardOf(key, meta.shards) !== index;
    if (typeof grants === 'string')
      problems.push(`${shardName(index)}: ${quote(key)} is left out: ${grants}`);
    else if (misplaced)
      problems.push(`${shardName(index)}: ${quote(key)} is left out: it belongs in another shard`);
    else classes.set(key, grants);
  }
}

/** A sentence when it is none. */
function decodeMeta(text: unknown): Meta | string {
  if (text === undefined) return `${META_KEY} is missing`;
  const parsed = metaSchema.safeParse(parseJson(text));
  return parsed.success ? parsed.data : `${META_KEY} is not of a version that is known here: ${quote(text)}`;
}

function decodeGrants(text: unknown): Grant[] | string {
  const parsed = grantsSchema.safeParse(parseJson(text));
  return parsed.success ? parsed.data : `no list of grants: ${quote(text)}`;
}

function parseJson(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}

const maxProblems = 50;

function boundedSentences(sentences: string[]): string[] {
  const rest = sentences.length - maxProblems;
  return rest > 0 ? [...sentences.slice(0, maxProblems), `and ${rest} more`] : sentences;
}
