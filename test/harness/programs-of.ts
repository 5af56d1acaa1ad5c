/** The BPF programs that a process holds, by themselves or by their links: their ids. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export function programsOf(pid: number): Set<string> {
  const folder = `/proc/${pid}/fdinfo`;
  const ids = readdirSync(folder).map((fd) => {
    try {
      return /^prog_id:\s*(\d+)$/m.exec(readFileSync(join(folder, fd), 'utf8'))?.[1];
    } catch {
      // That of the listing itself.
      return undefined;
    }
  });
  return new Set(ids.filter((id) => id !== undefined));
}
