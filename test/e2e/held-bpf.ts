import { readdirSync, readFileSync } from 'node:fs';

/** Ids of the BPF programs and maps that a process has open. */
export function heldBy(pid: number): { programs: string[]; maps: string[] } {
  const directory = `/proc/${pid}/fdinfo`;
  const all = readdirSync(directory)
    .map((descriptor) => readFileSync(`${directory}/${descriptor}`, 'utf8'))
    .join('\n');
  const ids = (field: string) => [
    ...new Set([...all.matchAll(new RegExp(`^${field}:\\s*(\\d+)`, 'gm'))].map(([, id = '']) => id)),
  ];
  return { programs: ids('prog_id'), maps: ids('map_id') };
}
