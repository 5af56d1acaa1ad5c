/** The capture on other kernels than this machine's, from the oldest that is supported to the newest that Debian has. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { atExit } from '../harness/last-resort.ts';
import { boot, type Report } from './boot.ts';
import { makeInitramfs } from './initramfs.ts';
import { fetchKernels, KERNELS } from './kernels.ts';

/** Behaviour, and the guest's checks that show it. */
const ROWS = [
  ['every BPF program loads', ['load-plaintext', 'load-secrets', 'load-calls']],
  ['a plaintext request is captured', ['plaintext', 'ledger']],
  ['TLS requests are captured, of 1.2 and 1.3', ['tls12', 'tls13', 'ledger']],
  ['a request on a TLS connection that is older than the capture is captured', ['older', 'ledger']],
] as const;

const { folder, missing } = await fetchKernels();
const directory = mkdtempSync(join(tmpdir(), 'podmirror-kernels-'));
atExit(() => rmSync(directory, { recursive: true, force: true }));
const initramfs = makeInitramfs({ capture: buildCapture(), busybox: join(folder, 'busybox') }, directory);

for (const kernel of KERNELS) {
  let report: Promise<Report> | undefined;
  for (const [behaviour, checks] of ROWS) {
    const title = `Linux ${kernel}: ${behaviour}`;
    const why = missing.get(kernel);
    if (why !== undefined) {
      test.skip(`${title} (${why})`, (t) => t.fail());
      continue;
    }
    test.serial(title, async (t) => {
      report ??= bootKernel(t, kernel);
      assertPassed(t, await report, checks);
    });
  }
}

async function bootKernel(t: ExecutionContext, kernel: string): Promise<Report> {
  const own = join(directory, kernel);
  mkdirSync(own);
  const report = await boot(join(folder, kernel, 'vmlinuz'), initramfs, own);
  const passed = [...report.checks.values()].filter((why) => why === null).length;
  // All that was said, once a kernel.
  if (passed === 0 || passed < report.checks.size) t.log(report.text);
  return report;
}

function assertPassed(t: ExecutionContext, report: Report, checks: readonly string[]) {
  const results = checks.map((check) => [check, report.checks.get(check)]);
  t.deepEqual(
    results,
    checks.map((check) => [check, null]),
  );
}

/** Cargo's own word on where it put the program. */
function buildCapture(): string {
  const args = ['build', '--release', '--locked', '--quiet', '-p', 'podmirror-bpf', '--example', 'capture'];
  const said = execFileSync('cargo', [...args, '--message-format=json-render-diagnostics'], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const programs = said.split('\n').flatMap((line) => {
    if (!line.startsWith('{')) return [];
    const { executable } = JSON.parse(line) as { executable?: string | null };
    return executable ? [executable] : [];
  });
  const [program] = programs;
  if (program === undefined) throw new Error('build the capture: cargo names no program');
  return program;
}
