/** helm, run to its end, with nothing of the user's own settings. */
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface HelmResult {
  code: number;
  stdout: string;
  stderr: string;
}

export function runHelm(helm: string, args: readonly string[], kubeconfig?: string): Promise<HelmResult> {
  const home = join(tmpdir(), 'podmirror-helm');
  const env = { PATH: process.env.PATH, HOME: home, ...(kubeconfig && { KUBECONFIG: kubeconfig }) };
  const child = spawn(helm, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}
