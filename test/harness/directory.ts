import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** A directory that goes with the test. */
export function temporaryDirectory(t: ExecutionContext, mode = 0o700): string {
  const directory = mkdtempSync(join(tmpdir(), 'podmirror-test-'));
  chmodSync(directory, mode);
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
