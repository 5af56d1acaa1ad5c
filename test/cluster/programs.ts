/** Where the programs of a node are: Debian's, unpacked into the cache. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const UNPACK = fileURLToPath(new URL('debs.sh', import.meta.url));
let unpacked: string | undefined;

/** Path of a file as Debian's package has it, as in `usr/bin/ctr`. */
export const nodeProgram = (path: string): string => join(folder(), path);

/** For those programs, beside our own environment. */
export const nodeEnvironment = (): Record<string, string> => ({
  PATH: `${nodeProgram('usr/sbin')}:${nodeProgram('usr/bin')}:/usr/sbin:/usr/bin:/sbin:/bin`,
  LD_LIBRARY_PATH: nodeProgram(`usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`),
});

function folder(): string {
  unpacked ??= unpack();
  return unpacked;
}

function unpack(): string {
  const { status, stdout, error } = spawnSync(UNPACK, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0)
    throw new Error(`unpack a node's programs: ${error?.message ?? `${UNPACK} failed with ${status}`}`);
  return stdout.trim();
}
