/** The guest's beginning: modules for its disks and its network, and what it has to know of this machine. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packInitramfs } from '../kernels/archive.ts';

const OWN = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const TREE = OWN('../../').replace(/\/$/, '');
const DIRECTORIES = ['bin', 'dev', 'modules', 'proc', 'sys', 'units'];
// Those of QEMU's devices, and of the file systems that the guest's root is made of.
const MODULES = ['virtio_pci', 'virtio_blk', 'virtio_net', 'virtiofs', 'overlay', 'ext4'];

export interface Parts {
  busybox: string;
  /** Holds lib/modules. */
  kernel: string;
  /** Of the node. */
  name: string;
  address: string;
  gateway: string;
  /** Of this machine, that the guest is to have under their names, as they are at any time. */
  folders: readonly string[];
}

/** Writes the archive into `directory` and returns its path. */
export function makeInitramfs({ busybox, kernel, folders, ...parts }: Parts, directory: string): string {
  const root = join(directory, 'initramfs');
  for (const name of DIRECTORIES) mkdirSync(join(root, name), { recursive: true });
  copyFileSync(busybox, join(root, 'bin/busybox'));
  copyFileSync(OWN('init'), join(root, 'init'));
  chmodSync(join(root, 'init'), 0o755);
  copyFileSync(OWN('guest.target'), join(root, 'units/guest.target'));
  writeFileSync(join(root, 'units/guest.service'), unit(parts.address));
  const files = modulesOf(kernel);
  for (const file of files) copyFileSync(file, join(root, 'modules', basename(file)));
  writeFileSync(join(root, 'modules/order'), files.map((file) => `${basename(file)}\n`).join(''));
  const settings = {
    NAME: parts.name,
    ADDRESS: parts.address,
    GATEWAY: parts.gateway,
    // What is not below /tmp is in the guest's root already.
    FOLDERS: [TREE, ...folders].filter((folder) => folder.startsWith('/tmp/')).join(' '),
    MODULES: join(kernel, 'lib/modules'),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`);
  writeFileSync(join(root, 'settings'), lines.join(''));
  return packInitramfs({ root, busybox, directory });
}

/** Paths, each behind those that it needs. */
function modulesOf(kernel: string): string[] {
  const [release = ''] = readdirSync(join(kernel, 'lib/modules'));
  const of = ['--dirname', kernel, '--set-version', release, '--show-depends'];
  // "insmod /…/virtio_ring.ko", or "builtin ext4".
  const said = MODULES.map((name) => execFileSync('/sbin/modprobe', [...of, name], { encoding: 'utf8' }));
  return [...new Set([...said.join('').matchAll(/^insmod (\S+)/gm)].map(([, file = '']) => file))];
}

/** The guest ends with it: without it, nobody reaches the guest. */
const unit = (address: string): string => `
[Unit]
Description=Runs commands for the guest's host
FailureAction=poweroff-force
[Service]
WorkingDirectory=${TREE}
ExecStart=${process.execPath} ${OWN('guest.ts')} ${address}
StandardOutput=journal+console
StandardError=journal+console
`;
