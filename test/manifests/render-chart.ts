/** The chart through the real helm. */
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface RenderOptions {
  helm: string;
  /** Further arguments: `--values`, `--set`, `--api-versions`. */
  args?: readonly string[];
  release?: { name: string; namespace: string };
}

export const CHART = join(import.meta.dirname, '..', '..', 'manifests', 'chart');

const maxBuffer = 16 * 1024 * 1024;

/** What `helm template` prints. Rejects with what it says when values or templates are wrong. */
export async function renderChart({
  helm,
  args = [],
  release = { name: 'podmirror', namespace: 'podmirror' },
}: RenderOptions): Promise<string> {
  const run = promisify(execFile);
  // Nothing of the user's own settings.
  const env = { PATH: process.env.PATH, HOME: tmpdir(), HELM_CONFIG_HOME: join(tmpdir(), 'podmirror-helm') };
  const { name, namespace } = release;
  const { stdout } = await run(helm, ['template', name, CHART, '--namespace', namespace, ...args], {
    env,
    maxBuffer,
  });
  return stdout;
}
