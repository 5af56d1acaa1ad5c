/** Boots a kernel in QEMU, without help of the processor's: what this machine's own kernel allows does not matter then. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProgram } from '../harness/program.ts';
import { parseReport } from './report.ts';

// A boot takes half a minute; the guest ends by itself, unless its kernel hangs.
const PATIENCE_MS = 8 * 60_000;

export interface Report {
  /** By check: null when it passed, or why it did not. */
  checks: Map<string, string | null>;
  /** All that explains it. */
  text: string;
}

export async function boot(vmlinuz: string, initramfs: string, directory: string): Promise<Report> {
  const [consoleLog, reportLog] = [join(directory, 'console'), join(directory, 'report')];
  const machine = ['-accel', 'tcg', '-cpu', 'max', '-m', '1G', '-nodefaults', '-nographic', '-no-reboot'];
  const kernel = ['-kernel', vmlinuz, '-initrd', initramfs, '-append', 'console=ttyS0 panic=-1 quiet'];
  const serial = ['-serial', `file:${consoleLog}`, '-serial', `file:${reportLog}`];
  const qemu = startProgram(['qemu-system-x86_64', ...machine, ...kernel, ...serial]);
  const late = setTimeout(() => qemu.signal('SIGKILL'), PATIENCE_MS);
  await qemu.ended.finally(() => clearTimeout(late));
  const report = readFileSync(reportLog, 'utf8').replaceAll('\r', '');
  const text = [qemu.stderr(), readFileSync(consoleLog, 'utf8'), report].join('\n');
  return { checks: parseReport(report), text };
}
