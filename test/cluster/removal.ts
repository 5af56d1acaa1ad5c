/** Takes a cluster off the machine, whole, whatever is left of it: processes, namespaces, mounts, links, cgroups, files. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../harness/until.ts';
import { hierarchies, removeCgroups } from './hierarchies.ts';
import { claimedNames, type Instance, instanceOf, isInstanceName } from './instance.ts';
import { pidOf } from './owner.ts';

/** Everything of a cluster is in its cgroup, so nothing has to be remembered to be found. */
export async function removeInstance({ cgroup, bridge, directory }: Instance): Promise<void> {
  // A namespace goes with its last process, mounts and links with their namespace.
  await removeCgroups(cgroup);
  // A virtual machine's link stays when its process has gone.
  for (const link of linksOf(bridge)) deleteLink(link);
  // The kernel takes a network namespace down a moment after its last process.
  const gone = await until(() => linksOf(bridge).length === 0, { timeoutMs: 20_000, everyMs: 50 });
  if (!gone) throw new Error(`remove ${bridge}: ${linksOf(bridge).join(', ')} is still there`);
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

/** Clusters whose process has ended without taking them away. */
export async function removeStale(): Promise<string[]> {
  const stale = namesOnMachine().filter((name) => ownerOf(name) === undefined);
  for (const name of stale) await removeInstance(instanceOf(name));
  return stale;
}

/** The process that started it, while it lives. */
export function ownerOf(name: string): number | undefined {
  try {
    return pidOf(readFileSync(join(instanceOf(name).directory, 'owner'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** What is left of it, for people; empty: nothing. */
export function remainsOf({ name, cgroup, bridge, directory }: Instance): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(name));
  return [
    ...linksOf(bridge).map((link) => `link ${link}`),
    ...cgroupNames().filter((path) => path.endsWith(cgroup)),
    ...(claimedNames().includes(name) ? [directory] : []),
    ...mounts,
  ];
}

function namesOnMachine(): string[] {
  const names = [
    ...claimedNames(),
    ...readdirSync('/sys/class/net'),
    ...cgroupNames().map((path) => path.slice(path.lastIndexOf('/') + 1)),
  ];
  return [...new Set(names)].filter(isInstanceName);
}

const cgroupNames = (): string[] =>
  hierarchies().flatMap((mount) => readdirSync(mount).map((name) => join(mount, name)));

/** The bridge, and the host's ends of its nodes' links. */
const linksOf = (bridge: string): string[] =>
  readdirSync('/sys/class/net').filter((link) => link === bridge || link.startsWith(`${bridge}.`));

function deleteLink(name: string): void {
  try {
    execFileSync('ip', ['link', 'del', name], { stdio: 'pipe' });
  } catch (error) {
    const { stderr = '' } = error as { stderr?: Buffer };
    if (!/Cannot find device/.test(String(stderr)))
      throw new Error(`ip link del ${name}: ${String(stderr).trim()}. Run as root`, { cause: error });
  }
}
