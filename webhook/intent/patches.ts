// From what stands in the ConfigMaps of intent to what should, in an order that hides no entry from a reader on the way.
import { META_KEY } from './shard.ts';

type Data = Record<string, string>;

export interface ShardPatch {
  shard: number;
  /** The ConfigMap is not there: create it with `data`, in which nothing is null. */
  create: boolean;
  /** A merge patch: null removes the key. */
  data: Record<string, string | null>;
}

// Of values and keys; the API server takes 1 MiB of values.
const maxBytes = 1_000_000;

/**
 * Patches to be written one after the other; none for shards that are equal. Each leaves what a reader can make sense of.
 *
 * Entries stand where the `_meta` of shard 0 says, under ids that are made as it says. When that changes, entries are
 * first added where they will be looked for, then shard 0 with its `_meta` is written whole, and then what nobody
 * looks for any more is removed. A shard that cannot hold old and new entries together loses the old ones at once: a
 * short gap is better than an intent that cannot be written.
 */
export function patchesFor(have: (Data | undefined)[], want: Data[]): ShardPatch[] {
  const last = Math.max(have.length, want.length);
  const between = [...have];
  const patches: ShardPatch[] = [];
  const write = (shard: number, target: Data | undefined) => {
    const before = between[shard];
    const data = difference(before ?? {}, target ?? {});
    const create = before === undefined && target !== undefined;
    if (!create && Object.keys(data).length === 0) return;
    patches.push({ shard, create, data });
    between[shard] = target ?? {};
  };
  const writeAll = (from: number) => {
    for (let shard = from; shard < last; shard++) write(shard, want[shard]);
  };
  if (isReadAlike(have[0], want[0])) writeAll(0);
  else {
    for (let shard = 1; shard < want.length; shard++) write(shard, together(have[shard], want[shard]));
    write(0, want[0]);
    writeAll(1);
  }
  return patches;
}

/** What both have, if it can be held. A shard that is not there yet has nothing to keep. */
function together(before: Data | undefined, after: Data | undefined): Data | undefined {
  if (before === undefined || after === undefined) return after;
  const both = { ...before, ...after, [META_KEY]: before[META_KEY] ?? '' };
  return sizeOf(both) <= maxBytes ? both : after;
}

/** Whether both are read by the same rules; the filters' hash is none of them. */
function isReadAlike(before: Data | undefined, after: Data | undefined): boolean {
  return rulesOf(before) === rulesOf(after);
}

function rulesOf(data: Data | undefined): string {
  try {
    const { filtersHash: _, ...rules } = JSON.parse(data?.[META_KEY] ?? '{}');
    return JSON.stringify(rules);
  } catch {
    return '';
  }
}

function difference(before: Data, after: Data): Record<string, string | null> {
  const removed = Object.keys(before).filter((key) => !Object.hasOwn(after, key));
  const changed = Object.entries(after).filter(
    ([key, value]) => !Object.hasOwn(before, key) || before[key] !== value,
  );
  return Object.fromEntries([...changed, ...removed.map((key) => [key, null] as const)]);
}

export function sizeOf(data: Data): number {
  return Object.entries(data).reduce((sum, [key, value]) => sum + key.length + Buffer.byteLength(value), 0);
}
