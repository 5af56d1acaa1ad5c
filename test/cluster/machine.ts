/** A node as a machine of its own, as far as namespaces go: mounts, network and host name, its own /var and /run, a link to the bridge. */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inCgroup, type Service, startService } from '../harness/service.ts';
import type { Instance } from './instance.ts';
import { routeNode, run } from './link.ts';

export interface Machine {
  /** Holds its configuration, by the same path here and there. */
  directory: string;
  /** A command line that becomes `command` in there, or stands for it: the same output, exit code and end. It is in the cluster's cgroup. */
  inside(command: readonly string[]): [string, ...string[]];
  stop(): Promise<void>;
}

export interface MachineOptions {
  instance: Instance;
  /** cgroup2 directory. */
  cgroup: string;
}

export type StartMachine = (options: MachineOptions) => Promise<Machine>;

export async function startMachine({ instance, cgroup }: MachineOptions): Promise<Machine> {
  const { bridge, node, hostAddress, directory: home } = instance;
  const directory = join(home, 'node');
  for (const folder of ['run', 'var/lib', 'var/log', 'var/tmp', 'var/cache'])
    mkdirSync(join(directory, folder), { recursive: true });
  symlinkSync('/run', join(directory, 'var/run'));
  // Nothing outside of the cluster is to be found from in there.
  writeFileSync(join(directory, 'resolv.conf'), 'nameserver 127.0.0.1\n');

  const holder = await hold(cgroup, join(directory, 'unshared'));
  const inside = (command: readonly string[]): string[] => [
    'nsenter',
    '--target',
    String(holder.pid),
    '--mount',
    '--net',
    '--uts',
    '--',
    ...command,
  ];
  const link = `${bridge}.1`;
  run(['ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(holder.pid)]);
  run(['ip', 'link', 'set', link, 'master', bridge, 'up']);
  const setUp = [
    // As systemd makes it on real nodes; volumes with mount propagation need it.
    'mount --make-rshared /',
    `mount --bind ${directory}/var /var`,
    `mount --bind ${directory}/run /run`,
    'mount -t bpf bpf /sys/fs/bpf',
    `hostname ${node.name}`,
    'ip link set lo up',
    'ip link set eth0 up',
    `ip addr add ${node.address}/24 dev eth0`,
    `ip route add default via ${hostAddress}`,
    'echo 1 >/proc/sys/net/ipv4/ip_forward',
  ];
  run(inside(['/bin/sh', '-ec', setUp.join('\n')]));
  routeNode(instance);

  return {
    directory,
    inside(command) {
      const [file = '', ...args] = inCgroup(cgroup, inside(command));
      return [file, ...args];
    },
    stop: () => holder.stop(),
  };
}

function hold(cgroup: string, sign: string): Promise<Service> {
  // Private first: where / is shared, the node's mounts would otherwise appear on this machine.
  const flags = ['--mount', '--propagation', 'private', '--net', '--uts'];
  return startService({
    name: 'the namespaces of a node',
    args: ['unshare', ...flags, '--', '/bin/sh', '-c', 'touch "$0" && exec sleep infinity', sign],
    cgroup,
    ready: async () => existsSync(sign),
  });
}
