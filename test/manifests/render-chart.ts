/** What the chart becomes. */
import { join } from 'node:path';
import { helmProgram } from '../kube/programs.ts';
import { runHelm } from './run-helm.ts';

export const CHART = join(import.meta.dirname, '..', '..', 'manifests', 'chart');

/** A file of values for tests. */
export const valuesFile = (name: 'vendor' | 'all'): string =>
  join(import.meta.dirname, 'values', `${name}.yaml`);

/** What `helm template` prints. `args`: further ones, such as `--set`. Rejects with what helm says. */
export async function renderChart(args: readonly string[] = []): Promise<string> {
  const { code, stdout, stderr } = await runHelm(helmProgram(), [
    'template',
    'podmirror',
    CHART,
    '--namespace=podmirror',
    ...args,
  ]);
  if (code !== 0) throw new Error(stderr.trim());
  return stdout;
}
