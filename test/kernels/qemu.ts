/** A guest's command line: by KVM where this machine's processor runs guests, emulated elsewhere. Its features are all there are. */
import { closeSync, openSync, readFileSync } from 'node:fs';

export interface Guest {
  vmlinuz: string;
  initramfs: string;
  /** The kernel's messages go there. */
  consoleLog: string;
  /** Of the kernel's command line, beside what every guest has. */
  parameters?: readonly string[];
  /** Default: 1G. */
  memory?: string;
  /** Default: 1. */
  processors?: number;
  /** More of QEMU's arguments. */
  devices?: readonly string[];
}

export function qemuCommand(guest: Guest): [string, ...string[]] {
  const {
    vmlinuz,
    initramfs,
    consoleLog,
    parameters = [],
    memory = '1G',
    processors = 1,
    devices = [],
  } = guest;
  const machine = [
    '-accel',
    hasKvm() ? 'kvm' : 'tcg',
    '-cpu',
    'max',
    '-smp',
    String(processors),
    '-m',
    memory,
  ];
  const append = ['console=ttyS0', 'panic=-1', 'quiet', ...parameters].join(' ');
  const kernel = ['-kernel', vmlinuz, '-initrd', initramfs, '-append', append];
  const display = ['-nodefaults', '-nographic', '-no-reboot', '-serial', `file:${consoleLog}`];
  return ['qemu-system-x86_64', ...machine, ...kernel, ...display, ...devices];
}

/**
 * A /dev/kvm alone says little: in some virtual machines it is PVM's, which takes kernels that were made for it and
 * interprets others, instruction by instruction.
 */
export function hasKvm(): boolean {
  if (!/^flags\s*:.* (?:vmx|svm)\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'))) return false;
  try {
    closeSync(openSync('/dev/kvm', 'r+'));
    return true;
  } catch {
    return false;
  }
}
