/** The real kubectl, or another command with a kubeconfig, run to its end. */
import { spawn } from 'node:child_process';
import { basename } from 'node:path';
import { killAtExit } from '../harness/last-resort.ts';
import { kubeProgram } from './programs.ts';

export interface KubectlResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Kubectl {
  /** Rejects unless it ends with 0; returns its stdout. `input` is what `-f -` reads. */
  (args: readonly string[], input?: string): Promise<string>;
  /** Whatever it ends with. */
  attempt(args: readonly string[], input?: string): Promise<KubectlResult>;
}

export interface KubectlOptions {
  kubeconfig: string;
  home: string;
  /** Path of another command, as of helm. */
  program?: string;
}

export function createKubectl({ kubeconfig, home, program }: KubectlOptions): Kubectl {
  const file = program ?? kubeProgram('kubectl');
  const attempt = (args: readonly string[], input = ''): Promise<KubectlResult> => {
    const child = spawn(file, args, {
      env: { PATH: process.env.PATH, HOME: home, KUBECONFIG: kubeconfig },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const forget = killAtExit(child.pid);
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        forget();
        resolve({ code: code ?? -1, stdout, stderr });
      });
    });
  };
  const run = async (args: readonly string[], input?: string) => {
    const { code, stdout, stderr } = await attempt(args, input);
    if (code !== 0) throw new Error(`${basename(file)} ${args.join(' ')}: ${stderr.trim()}`);
    return stdout;
  };
  return Object.assign(run, { attempt });
}
