/** A disk of a few MiB that a test can fill. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atExit } from './last-resort.ts';

export interface SmallDisk {
  directory: string;
  /** Leaves not one free block. */
  fill(): void;
  free(): void;
  remove(): void;
}

/** Throws where no tmpfs can be mounted. */
export function mountSmallDisk(mebibytes: number): SmallDisk {
  const directory = mkdtempSync(join(tmpdir(), 'podmirror-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', directory], { stdio: 'pipe' });
  const unmount = () => {
    // Lazily: a killed process may hold a file for a moment more.
    execFileSync('umount', ['-l', directory]);
    rmdirSync(directory);
  };
  const forget = atExit(unmount);
  const filler = join(directory, 'filler');
  return {
    directory,
    fill: () => fillWith(filler),
    free: () => rmSync(filler),
    remove() {
      forget();
      unmount();
    },
  };
}

function fillWith(file: string): void {
  const descriptor = openSync(file, 'w');
  const block = Buffer.alloc(4096);
  try {
    for (;;) writeSync(descriptor, block);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(descriptor);
  }
}
