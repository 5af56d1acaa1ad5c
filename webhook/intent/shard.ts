// The ConfigMaps that hold the intent: one, or several before one grows past what etcd takes.
export const INTENT_NAME = 'podmirror-intent';
export const MAX_SHARDS = 8;
/** Beside the class ids, in every shard. */
export const META_KEY = '_meta';

/** podmirror-intent, podmirror-intent-1, … */
export function shardName(index: number): string {
  return index === 0 ? INTENT_NAME : `${INTENT_NAME}-${index}`;
}

/** Which shard holds a class; from the last hex of its id, so that a namespace spreads over all. */
export function shardOf(classId: string, shards: number): number {
  return Number.parseInt(classId.slice(-8), 16) % shards;
}
