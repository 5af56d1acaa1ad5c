import { readdirSync, readFileSync } from 'node:fs';

/** Ids of the BPF programs and maps that a process has open. */
export function heldBy(pid: number): { programs: string[]; maps: string[] } {
  const directory = `/proc/${pid}/fdinfo`;
  const all = readdirSync(directory)
    .map((descriptor) => textOf(`${directory}/${descriptor}`))
    .join('\n');
  const ids = (field: string) => [
    ...new Set([...all.matchAll(new RegExp(`^${field}:\\s*(\\d+)`, 'gm'))].map(([, id = '']) => id)),
  ];
  return { programs: ids('prog_id'), maps: ids('map_id') };
}

/** Descriptors of connections come and go. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
