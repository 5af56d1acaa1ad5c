// At most so many at a time, the others in the order in which they came, and not too many of those.

export interface Turns {
  /**
   * Calls `begin` when the turn has come, which may be at once. Returns what ends the turn, or the waiting for it;
   * undefined: too many are waiting.
   */
  take(begin: () => void): (() => void) | undefined;
}

export function createTurns({ atOnce, maxWaiting }: { atOnce: number; maxWaiting: number }): Turns {
  const taken = new Set<() => void>();
  const waiting = new Set<() => void>();

  const next = () => {
    for (const begin of waiting) {
      if (taken.size >= atOnce) return;
      waiting.delete(begin);
      taken.add(begin);
      begin();
    }
  };

  return {
    take(begin) {
      if (taken.size >= atOnce && waiting.size >= maxWaiting) return undefined;
      waiting.add(begin);
      next();
      return () => {
        waiting.delete(begin);
        if (taken.delete(begin)) next();
      };
    },
  };
}
