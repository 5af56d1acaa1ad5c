/** Where the helm of the tests is; builds it when it is not there yet. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const BUILD = join(import.meta.dirname, '..', 'kube', 'build.sh');

export function helmProgram(): string {
  const { status, stdout, error } = spawnSync(BUILD, ['helm'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`build helm: ${error?.message ?? `${BUILD} helm failed with ${status}`}`);
  return join(stdout.trim(), 'helm');
}
