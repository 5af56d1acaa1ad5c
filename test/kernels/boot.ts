/** Boots a kernel in QEMU, and waits until the guest has ended by itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProgram } from '../harness/program.ts';
import { qemuCommand } from './qemu.ts';
import { parseReport } from './report.ts';

// Emulated, it takes a minute; the guest ends by itself, unless its kernel hangs.
const PATIENCE_MS = 8 * 60_000;

export interface Report {
  /** By check: null when it passed, or why it did not. */
  checks: Map<string, string | null>;
  /** All that explains it. */
  text: string;
}

export async function boot(vmlinuz: string, initramfs: string, directory: string): Promise<Report> {
  const [consoleLog, reportLog] = [join(directory, 'console'), join(directory, 'report')];
  const devices = ['-serial', `file:${reportLog}`];
  const qemu = startProgram(qemuCommand({ vmlinuz, initramfs, consoleLog, devices }));
  const late = setTimeout(() => qemu.signal('SIGKILL'), PATIENCE_MS);
  await qemu.ended.finally(() => clearTimeout(late));
  const report = readFileSync(reportLog, 'utf8').replaceAll('\r', '');
  const text = [qemu.stderr(), readFileSync(consoleLog, 'utf8'), report].join('\n');
  return { checks: parseReport(report), text };
}
