/** A folder as the archive that a kernel unpacks at its start. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export interface Packing {
  root: string;
  busybox: string;
  /** Where the archive is written to. */
  directory: string;
}

/** Returns its path. Not compressed: to unpack it costs the guest more than it saves. */
export function packInitramfs({ root, busybox, directory }: Packing): string {
  const archive = join(directory, 'initramfs.cpio');
  const pack = `find . | "$1" cpio -o -H newc >"$2"`;
  execFileSync('sh', ['-c', pack, 'sh', busybox, archive], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return archive;
}
