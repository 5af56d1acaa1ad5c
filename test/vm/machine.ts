/** A node as a virtual machine: a kernel of its own, cgroup2 only, systemd as PID 1, and this machine's files to read. */
import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { routeNode, run } from '../cluster/link.ts';
import type { Machine, MachineOptions } from '../cluster/machine.ts';
import { runTool } from '../harness/run-tool.ts';
import { inCgroup, startService } from '../harness/service.ts';
import { qemuCommand } from '../kernels/qemu.ts';
import { makeInitramfs } from './initramfs.ts';

const OWN = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'podmirror');
// Debian 12 has it beside QEMU.
const VIRTIOFSD = '/usr/lib/qemu/virtiofsd';
// Emulated, and with other work beside it.
const READY_MS = 5 * 60_000;
const MEMORY = '6G';

export async function startVirtualMachine({ instance, cgroup }: MachineOptions): Promise<Machine> {
  const { directory: home, bridge, hostAddress, node } = instance;
  const directory = join(home, 'node');
  writeFileSync(join(directory, 'resolv.conf'), 'nameserver 127.0.0.1\n');
  const kernels = (await runTool(OWN('debs.sh'), [])).trim();
  const parts = join(home, 'guest');
  mkdirSync(parts);
  const kernel = join(kernels, '6.1');
  const initramfs = makeInitramfs(
    {
      busybox: join(kernels, 'busybox'),
      kernel,
      name: node.name,
      address: node.address,
      gateway: hostAddress,
      folders: [home, CACHE],
    },
    parts,
  );

  const share = join(parts, 'share');
  await startService({
    name: 'virtiofsd',
    args: [
      VIRTIOFSD,
      `--socket-path=${share}`,
      '--rlimit-nofile=0',
      '-o',
      'source=/,sandbox=chroot,cache=auto',
    ],
    cgroup,
    logFile: join(home, 'virtiofsd.log'),
    ready: async () => existsSync(share),
  });
  const link = `${bridge}.1`;
  run(['ip', 'tuntap', 'add', 'dev', link, 'mode', 'tap']);
  run(['ip', 'link', 'set', link, 'master', bridge, 'up']);
  routeNode(instance);

  const inside = (command: readonly string[]): [string, ...string[]] => {
    const [file = '', ...args] = inCgroup(cgroup, [
      process.execPath,
      OWN('run.ts'),
      node.address,
      ...command,
    ]);
    return [file, ...args];
  };
  const [file = '', ...args] = inside(['true']);
  const qemu = await startService({
    name: 'QEMU',
    args: qemuCommand({
      vmlinuz: join(kernel, 'vmlinuz'),
      initramfs,
      consoleLog: join(home, 'console.log'),
      // Interfaces keep the kernel's names, with udev and without.
      parameters: ['systemd.unit=guest.target', 'net.ifnames=0'],
      memory: MEMORY,
      processors: 2,
      devices: [...shared(share), ...network(link), ...(await disk(join(parts, 'disk')))],
    }),
    cgroup,
    logFile: join(home, 'qemu.log'),
    ready: async () => (await runTool(file, args)) === '',
    readyTimeoutMs: READY_MS,
  });
  return { directory, inside, stop: () => qemu.stop() };
}

/** The guest's memory is that of the process which serves the files, too. */
const shared = (socket: string): string[] => [
  '-object',
  `memory-backend-memfd,id=memory,size=${MEMORY},share=on`,
  '-numa',
  'node,memdev=memory',
  '-chardev',
  `socket,id=machine,path=${socket}`,
  '-device',
  'vhost-user-fs-pci,chardev=machine,tag=machine',
];

const network = (link: string): string[] => [
  '-netdev',
  `tap,id=network,ifname=${link},script=no,downscript=no`,
  '-device',
  'virtio-net-pci,netdev=network',
];

/** Grows as it is written to. */
async function disk(file: string): Promise<string[]> {
  writeFileSync(file, '');
  truncateSync(file, 16 * 2 ** 30);
  await runTool('/sbin/mke2fs', ['-q', '-F', '-t', 'ext4', file]);
  return ['-drive', `file=${file},format=raw,if=virtio,cache=unsafe`];
}
