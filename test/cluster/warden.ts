/** A process that outlives this one and takes the cluster away when this one has ended without doing so. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Instance } from './instance.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

/** Returns the function that ends it: nothing is left to be taken away. */
export function startWarden({ name }: Instance): () => void {
  // The kernel closes our end of the pipe, however we end. A session of its own: Ctrl-C is not for it.
  const script = 'cat >/dev/null; exec "$@"';
  const command = ['-c', script, 'warden', process.execPath, MAIN, 'down', name];
  const child = spawn('/bin/sh', command, { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  child.stdin.on('error', () => {});
  child.unref();
  return () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // Somebody else ended it.
    }
  };
}
