/** The chart that landed before this tree, with the images of this tree under its version's name: what an upgrade starts from. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cluster } from '../cluster/cluster.ts';
import { nodeProgram } from '../cluster/programs.ts';
import { runTool } from '../harness/run-tool.ts';
import { imageName, services } from '../images/images.ts';
import { CHART } from './install.ts';

export const PREVIOUS = '0.0.9';

// The last one that landed; write another when a chart lands.
const LANDED = '6427d48e313eab85415f11c77d6fbbacf25959cf';
const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));

/** Of a copy without that commit, the chart of the tree itself. Returns the chart's folder, and of which commit it is. */
export async function previousChart({ instance, node }: Cluster): Promise<{ folder: string; of: string }> {
  const folder = join(instance.directory, 'previous-chart');
  mkdirSync(folder);
  const of = await unpackLanded(folder).catch((error: Error) => {
    cpSync(CHART, folder, { recursive: true });
    return `this tree, since ${error.message}`;
  });
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
  return { folder, of };
}

async function unpackLanded(folder: string): Promise<string> {
  const archive = `${folder}.tar`;
  await runTool('git', ['-C', REPOSITORY, 'archive', `--output=${archive}`, `${LANDED}:manifests/chart`]);
  await runTool('tar', ['-xf', archive, '-C', folder]);
  return LANDED;
}
