// A stream over an open file descriptor that never blocks the event loop.
import { write } from 'node:fs';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

// process.stdout writes to pipes synchronously: a reader that stops reading would stop signals and timers too.
const writeAsync = promisify(write);
// A full pipe that some library has made non-blocking is asked again after this time.
const fullPipeMs = 10;

/** Chunks are written whole and in order; fails with the error of write(2), EAGAIN excepted. */
export function descriptorStream(fd: number): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      writeAll(fd, chunk).then(() => done(), done);
    },
  });
}

async function writeAll(fd: number, chunk: Buffer): Promise<void> {
  let offset = 0;
  while (offset < chunk.length) {
    try {
      const { bytesWritten } = await writeAsync(fd, chunk, offset, chunk.length - offset);
      offset += bytesWritten;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      await sleep(fullPipeMs);
    }
  }
}
