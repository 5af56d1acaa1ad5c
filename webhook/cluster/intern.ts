// One copy of what many pods have in common: the replicas of a Deployment share labels, annotations and containers.
export interface Interner {
  string(text: string): string;
  record(record: Record<string, string>): Record<string, string>;
  list(list: string[]): string[];
}

/**
 * Values given are not changed by anybody afterwards. It forgets everything when its keys grow beyond `maxChars`:
 * what is shared already stays shared, and values that never come again do not pile up.
 */
export function createInterner(maxChars = 2_000_000): Interner {
  const strings = new Map<string, string>();
  const values = new Map<string, unknown>();
  let chars = 0;
  const kept = <T>(map: Map<string, T>, key: string, value: T): T => {
    const before = map.get(key);
    if (before !== undefined) return before;
    chars += key.length;
    if (chars > maxChars) {
      strings.clear();
      values.clear();
      chars = key.length;
    }
    map.set(key, value);
    return value;
  };
  return {
    string: (text) => kept(strings, text, text),
    // A record and a list never have the same JSON.
    record: (record) => kept(values, JSON.stringify(record), record) as Record<string, string>,
    list: (list) => kept(values, JSON.stringify(list), list) as string[],
  };
}
