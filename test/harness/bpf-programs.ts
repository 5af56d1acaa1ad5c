/** The BPF programs and maps that the kernel holds, asked with bpf(2) by a small C program. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('./bpf-programs.c', import.meta.url));

export interface BpfPrograms {
  /** Ids of all programs in the kernel. */
  loaded(): string[];
  /** Ids of those attached to a cgroup's ingress and egress. */
  attached(cgroup: string): string[];
  /** Ids of all maps in the kernel. */
  maps(): string[];
  remove(): void;
}

export function buildBpfPrograms(): BpfPrograms {
  const directory = mkdtempSync(join(tmpdir(), 'podmirror-bpf-programs-'));
  const program = join(directory, 'bpf-programs');
  execFileSync('clang', ['-O1', '-o', program, SOURCE]);
  const list = (...args: string[]) =>
    execFileSync(program, args, { encoding: 'utf8' }).split('\n').filter(Boolean);
  return {
    loaded: () => list().map((line) => line.split(' ')[0] ?? ''),
    attached: (cgroup) => list(cgroup),
    maps: () => list('--maps'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
