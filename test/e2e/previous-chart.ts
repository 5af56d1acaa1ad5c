/** The chart and the images of this tree under an earlier version's name: what an upgrade starts from. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import { nodeProgram } from '../cluster/programs.ts';
import { runTool } from '../harness/run-tool.ts';
import { imageName, services } from '../images/images.ts';
import { CHART } from './install.ts';

export const PREVIOUS = '0.0.9';

/** Nothing was released before this tree, so its contents are those of today. Returns the chart's folder. */
export async function previousChart({ instance, node }: Cluster): Promise<string> {
  const folder = join(instance.directory, 'previous-chart');
  cpSync(CHART, folder, { recursive: true });
  const file = join(folder, 'Chart.yaml');
  const written = readFileSync(file, 'utf8');
  writeFileSync(file, written.replaceAll(/^(version|appVersion):.*$/gm, `$1: ${PREVIOUS}`));
  for (const service of services) {
    const name = `docker.io/library/${imageName(service)}`;
    const tag = ['images', 'tag', '--force', name, name.replace(/:.*$/, `:${PREVIOUS}`)];
    await runTool(nodeProgram('usr/bin/ctr'), [
      '--address',
      node.containerd,
      '--namespace',
      'k8s.io',
      ...tag,
    ]);
  }
  return folder;
}
