/** One cluster's names and addresses: all derive from one number, which no two clusters on a machine have at a time. */
import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { identityOf } from './owner.ts';

export interface Instance {
  /** `podmirror-137`: of the directory, the cgroups and the bridge. */
  name: string;
  directory: string;
  bridge: string;
  /** This machine's and the node's end of the bridge, as `10.137.0.1`. */
  hostAddress: string;
  node: { name: string; address: string };
  /** CIDRs. */
  nodeRange: string;
  podRange: string;
  serviceRange: string;
  /** Of Service `kubernetes` and of the cluster's DNS. */
  serviceAddress: string;
  dnsAddress: string;
  /** Below every mount of cgroups, as `/podmirror-137`. */
  cgroup: string;
}

// Not /var/tmp: the node has a /var of its own.
const PARENT = '/tmp';
const NAME = /^podmirror-(?:[1-9]\d{0,2})$/;

const directoryOf = (name: string): string => join(PARENT, `${name}.cluster`);

export function instanceOf(name: string): Instance {
  if (!NAME.test(name)) throw new Error(`cluster ${name}: no such name. Write podmirror-<number>`);
  const prefix = `10.${name.slice('podmirror-'.length)}`;
  return {
    name,
    directory: directoryOf(name),
    bridge: name,
    hostAddress: `${prefix}.0.1`,
    node: { name: name.replace('podmirror', 'node'), address: `${prefix}.0.2` },
    nodeRange: `${prefix}.0.0/24`,
    podRange: `${prefix}.64.0/18`,
    serviceRange: `${prefix}.128.0/17`,
    serviceAddress: `${prefix}.128.1`,
    dnsAddress: `${prefix}.128.10`,
    cgroup: `/${name}`,
  };
}

/** Takes a number that is free, and its directory, which says whose it is. */
export function claimInstance(): Instance {
  const draft = mkdtempSync(join(PARENT, '.podmirror-'));
  writeFileSync(join(draft, 'owner'), identityOf(process.pid));
  for (let attempts = 0; attempts < 200; attempts++) {
    const instance = instanceOf(`podmirror-${randomInt(1, 255)}`);
    if (isRouted(instance)) continue;
    try {
      // Fails when it is there: an owned directory is never empty.
      renameSync(draft, instance.directory);
    } catch {
      continue;
    }
    mkdirSync(join(instance.directory, 'node'));
    return instance;
  }
  rmSync(draft, { recursive: true });
  throw new Error('claim a cluster: no 10.x.0.0/16 is free. Stop clusters with: make cluster-down');
}

/** Those whose directory is there. */
export function claimedNames(): string[] {
  return readdirSync(PARENT)
    .filter((entry) => entry.endsWith('.cluster'))
    .map((entry) => entry.slice(0, -'.cluster'.length))
    .filter((name) => NAME.test(name));
}

export const isInstanceName = (name: string): boolean => NAME.test(name);

/** Something of it goes elsewhere than where everything goes. */
function isRouted({ hostAddress }: Instance): boolean {
  const show = ['-j', 'route', 'show', 'table', 'all', 'to', 'match', hostAddress];
  const routes = JSON.parse(execFileSync('ip', show, { encoding: 'utf8' })) as { dst: string }[];
  return routes.some(({ dst }) => dst !== 'default');
}
