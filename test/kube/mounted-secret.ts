/** The keys of a Secret as files, written the way that a kubelet does: all of them change in the same moment. */
import {
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';

export function writeSecret(folder: string, data: Record<string, Buffer>): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const current = join(folder, '..data');
  const before = linkTarget(current);
  const next = mkdtempSync(join(folder, '..version-'));
  for (const [name, bytes] of Object.entries(data)) writeFileSync(join(next, name), bytes, { mode: 0o400 });
  symlinkSync(basename(next), `${current}_next`);
  renameSync(`${current}_next`, current);
  if (before === undefined) {
    for (const name of Object.keys(data)) symlinkSync(join('..data', name), join(folder, name));
  } else {
    rmSync(join(folder, before), { recursive: true });
  }
}

function linkTarget(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}
