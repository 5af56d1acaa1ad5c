/** Where the programs of a node are: Debian's, unpacked into the cache. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const UNPACK = fileURLToPath(new URL('debs.sh', import.meta.url));
const folders = new Map<string, string>();

/** Which packages: those of a node with containerd, or those that CRI-O takes. */
export type NodePrograms = 'containerd' | 'crio';

/** Path of a file as Debian's package has it, as in `usr/bin/ctr`. */
export const nodeProgram = (path: string, programs: NodePrograms = 'containerd'): string =>
  join(folder(programs), path);

/** For those programs, beside our own environment. */
export function nodeEnvironment(programs: NodePrograms = 'containerd'): Record<string, string> {
  const at = (path: string) => nodeProgram(path, programs);
  return {
    PATH: `${at('usr/sbin')}:${at('usr/bin')}:/usr/sbin:/usr/bin:/sbin:/bin`,
    LD_LIBRARY_PATH: at(`usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`),
  };
}

function folder(programs: NodePrograms): string {
  const known = folders.get(programs) ?? unpack(programs);
  folders.set(programs, known);
  return known;
}

function unpack(programs: NodePrograms): string {
  const { status, stdout, error } = spawnSync(UNPACK, programs === 'crio' ? ['crio'] : [], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0)
    throw new Error(`unpack a node's programs: ${error?.message ?? `${UNPACK} failed with ${status}`}`);
  return stdout.trim();
}
