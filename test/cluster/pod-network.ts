/** The configuration of a node's network plugins. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Instance } from './instance.ts';
import type { Machine } from './machine.ts';

/** Returns the folder. */
export function writePodNetwork({ directory }: Machine, instance: Instance): string {
  const folder = join(directory, 'cni');
  mkdirSync(folder);
  writeFileSync(join(folder, '10-pods.conflist'), JSON.stringify(podNetwork(instance)));
  return folder;
}

/** Routed, not bridged: what goes from pod to pod passes the node's rules for Services without br_netfilter. */
const podNetwork = ({ podRange }: Instance) => ({
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'ptp',
      ipam: { type: 'host-local', ranges: [[{ subnet: podRange }]], routes: [{ dst: '0.0.0.0/0' }] },
    },
  ],
});
