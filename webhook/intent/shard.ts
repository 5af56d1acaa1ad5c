// The ConfigMaps that hold the intent: one, or several before one grows past what etcd takes.
export const INTENT_NAME = 'podmirror-intent';
export const MAX_SHARDS = 8;

/** podmirror-intent, podmirror-intent-1, … */
export function shardName(index: number): string {
  return index === 0 ? INTENT_NAME : `${INTENT_NAME}-${index}`;
}

/** Which shard holds a class; from the hex of its id, so that a namespace spreads over all. */
export function shardOf(classId: string, shards: number): number {
  return Number.parseInt(classId.slice(-8), 16) % shards;
}

type Data = Record<string, string>;

export interface ShardPatch {
  shard: number;
  /** The ConfigMap is not there: create it with `data`, in which nothing is null. */
  create: boolean;
  /** A merge patch: null removes the key. */
  data: Record<string, string | null>;
}

/**
 * What turns `have` into `want`; nothing for shards that are equal. In an order that never hides an entry from a
 * reader between two writes: what a class moves to is written before what it leaves.
 */
export function patchesFor(have: (Data | undefined)[], want: Data[]): ShardPatch[] {
  const patches: ShardPatch[] = [];
  for (let shard = 0; shard < Math.max(have.length, want.length); shard++) {
    const [before, after] = [have[shard], want[shard]];
    const data = difference(before ?? {}, after ?? {});
    const create = before === undefined && after !== undefined;
    if (create || Object.keys(data).length > 0) patches.push({ shard, create, data });
  }
  const grows = want.length >= have.filter((data) => data !== undefined).length;
  return grows ? patches.reverse() : patches;
}

function difference(before: Data, after: Data): Record<string, string | null> {
  const removed = Object.keys(before).filter((key) => !Object.hasOwn(after, key));
  const changed = Object.entries(after).filter(
    ([key, value]) => !Object.hasOwn(before, key) || before[key] !== value,
  );
  return Object.fromEntries([...changed, ...removed.map((key) => [key, null] as const)]);
}
