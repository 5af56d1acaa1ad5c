// Bytes one after another. Not a list of chunks: a chunk may hold one byte, and costs some hundred.

export interface GrowingBuffer {
  /** Returns by how many bytes its memory grew: in all 16 KiB, or at most twice what was added. */
  add(chunk: Uint8Array): number;
  length(): number;
  toString(): string;
}

// The usual review fits.
const leastBytes = 16 * 1024;

export function createGrowingBuffer(): GrowingBuffer {
  let memory = Buffer.alloc(0);
  let length = 0;
  return {
    add(chunk) {
      const before = memory.length;
      const needed = length + chunk.length;
      if (needed > before) {
        const grown = Buffer.allocUnsafeSlow(Math.max(leastBytes, needed, 2 * before));
        memory.copy(grown, 0, 0, length);
        memory = grown;
      }
      memory.set(chunk, length);
      length = needed;
      return memory.length - before;
    },
    length: () => length,
    toString: () => memory.toString('utf8', 0, length),
  };
}
