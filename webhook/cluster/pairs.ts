// What is kept of a pod's labels and annotations. Whoever may create pods may write 1.3 MB of labels and 256 KiB of
// annotations on each; what filters ask for decides and is kept, of the rest only as much as usual pods carry.

export interface Pairs {
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

/** Keys that are kept whatever else is there. */
export interface WantedKeys {
  labels: Iterable<string>;
  annotations: Iterable<string>;
}

export interface PairKeeper {
  keep(pairs: Pairs): Pairs;
  /** True when a value of a key that was not wanted before may have been left out: then list again. */
  want(keys: WantedKeys): boolean;
}

// The rest is there for suggestions: "did you mean team?" Nobody looks for kubectl's last-applied-configuration.
const restPairs = 32;
const restChars = 4096;
const largeValue = 1024;
const maxLeftOut = 1000;

const kinds = ['labels', 'annotations'] as const;

export function createPairKeeper(): PairKeeper {
  const wanted = { labels: new Set<string>(), annotations: new Set<string>() };
  const leftOut = { labels: new Set<string>(), annotations: new Set<string>() };
  /** More keys were left out than are remembered, so that it may have been any. */
  const overflowed = { labels: false, annotations: false };

  const leaveOut = (kind: keyof Pairs, key: string) => {
    if (leftOut[kind].size < maxLeftOut) leftOut[kind].add(key);
    else if (!leftOut[kind].has(key)) overflowed[kind] = true;
  };

  return {
    keep(pairs) {
      const room = { pairs: restPairs, chars: restChars };
      const kept = (kind: keyof Pairs): Record<string, string> => {
        const all = Object.entries(pairs[kind]);
        const few = all.filter(([key, value]) => {
          if (wanted[kind].has(key)) return true;
          const chars = key.length + value.length;
          const fits = value.length <= largeValue && room.pairs > 0 && chars <= room.chars;
          if (fits) {
            room.pairs -= 1;
            room.chars -= chars;
          } else leaveOut(kind, key);
          return fits;
        });
        return few.length === all.length ? pairs[kind] : Object.fromEntries(few);
      };
      return { labels: kept('labels'), annotations: kept('annotations') };
    },
    want(keys) {
      let missing = false;
      for (const kind of kinds) {
        const next = new Set(keys[kind]);
        for (const key of next) {
          if (wanted[kind].has(key)) continue;
          missing ||= overflowed[kind] || leftOut[kind].has(key);
          leftOut[kind].delete(key);
        }
        wanted[kind] = next;
      }
      return missing;
    },
  };
}
