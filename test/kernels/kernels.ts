/** The kernels of the matrix, as debs.sh has them. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runTool } from '../harness/run-tool.ts';

export const KERNELS = ['5.10', '6.1', '6.12', 'newest'] as const;

export interface Kernels {
  /** Holds NAME/vmlinuz for each kernel that was to be had, and busybox. */
  folder: string;
  /** Of those that were not to be had: why. */
  missing: Map<string, string>;
}

export async function fetchKernels(): Promise<Kernels> {
  const folder = (await runTool(fileURLToPath(new URL('debs.sh', import.meta.url)), [])).trim();
  const missing = new Map<string, string>();
  for (const kernel of KERNELS) {
    const why = readIfThere(`${folder}/${kernel}.missing`);
    if (why !== null) missing.set(kernel, why.trim().replaceAll('\n', '; '));
  }
  return { folder, missing };
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
