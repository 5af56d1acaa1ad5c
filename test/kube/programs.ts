/** Where the Kubernetes programs are; builds them when they are not there yet. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BUILD = fileURLToPath(new URL('build.sh', import.meta.url));

let folder: string | undefined;

export function kubeProgram(name: string): string {
  folder ??= build();
  return join(folder, name);
}

function build(): string {
  const { status, stdout, error } = spawnSync(BUILD, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0)
    throw new Error(`build Kubernetes: ${error?.message ?? `${BUILD} failed with ${status}`}`);
  return stdout.trim();
}
