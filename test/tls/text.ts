/** The text of a library in a process against its file: a breakpoint of a probe is a byte that differs. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

export interface AlteredText {
  pid: number;
  path: string;
  /** In the file. */
  offset: number;
}

/** Bytes of executable mappings of `libraries` that are not as the file has them, of all these processes. */
export function alteredText(pids: readonly number[], libraries: RegExp): AlteredText[] {
  return pids.flatMap((pid) => {
    const memory = openSync(`/proc/${pid}/mem`, 'r');
    try {
      return executableMappings(pid)
        .filter(({ path }) => libraries.test(path))
        .flatMap(({ start, end, offset, path }) => {
          const live = Buffer.alloc(end - start);
          readSync(memory, live, 0, live.length, start);
          const file = readFileSync(`/proc/${pid}/root${path}`).subarray(offset, offset + live.length);
          return differences(live, file).map((at) => ({ pid, path, offset: offset + at }));
        });
    } finally {
      closeSync(memory);
    }
  });
}

function executableMappings(pid: number) {
  return readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, start = '', end = '', offset = '', path = ''] =
        /^(\w+)-(\w+) r-xp (\w+) \S+ [1-9]\d* +(\/.*)$/.exec(line) ?? [];
      const number = (text: string) => Number.parseInt(text, 16);
      return path ? [{ start: number(start), end: number(end), offset: number(offset), path }] : [];
    });
}

function differences(live: Buffer, file: Buffer): number[] {
  const offsets: number[] = [];
  // The last page goes on behind the file's end.
  for (let at = 0; at < Math.min(live.length, file.length); at += 4096) {
    const page = (of: Buffer) => of.subarray(at, Math.min(at + 4096, file.length));
    if (page(live).equals(page(file))) continue;
    for (const [index, byte] of page(file).entries()) if (live[at + index] !== byte) offsets.push(at + index);
  }
  return offsets;
}
