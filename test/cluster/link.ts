/** What this machine's network has to be told of a node, by `ip`. */
import { execFileSync } from 'node:child_process';
import type { Instance } from './instance.ts';

/** This machine routes pods' and Services' addresses to the node. */
export function routeNode({ bridge, node, podRange, serviceRange }: Instance): void {
  for (const range of [podRange, serviceRange])
    run(['ip', 'route', 'add', range, 'via', node.address, 'dev', bridge]);
}

export function run([file = '', ...args]: readonly string[]): void {
  try {
    execFileSync(file, args, { stdio: 'pipe' });
  } catch (error) {
    const { stderr = '' } = error as { stderr?: Buffer };
    throw new Error(`start a node: ${args.join(' ')}: ${String(stderr).trim()}. Run as root`, {
      cause: error,
    });
  }
}
