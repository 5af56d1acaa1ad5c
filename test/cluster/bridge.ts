/** The link that joins this machine, where the control plane is, with a cluster's node. */
import { execFileSync } from 'node:child_process';
import type { Instance } from './instance.ts';

/** Its routes go with it. */
export function addBridge({ bridge, hostAddress }: Instance): void {
  for (const args of [
    ['link', 'add', bridge, 'type', 'bridge'],
    ['addr', 'add', `${hostAddress}/24`, 'dev', bridge],
    ['link', 'set', bridge, 'up'],
  ]) {
    try {
      execFileSync('ip', args, { stdio: 'pipe' });
    } catch (error) {
      const { stderr = '' } = error as { stderr?: Buffer };
      throw new Error(`ip ${args.join(' ')}: ${String(stderr).trim()}. Run as root`, { cause: error });
    }
  }
}
