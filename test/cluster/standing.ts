/** The cluster that `make cluster` of this tree has left running. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { helmProgram, kubeProgram } from '../kube/programs.ts';
import { type Instance, instanceOf } from './instance.ts';
import { nodeProgram } from './programs.ts';
import { ownerOf } from './removal.ts';

const STATE = fileURLToPath(new URL('../../.state/', import.meta.url));
const NAME_FILE = join(STATE, 'cluster');
export const LOG_FILE = join(STATE, 'cluster.log');

/** undefined: none, or its process has ended. */
export function whereabouts(): Instance | undefined {
  const name = nameLeft();
  return name !== undefined && ownerOf(name) !== undefined ? instanceOf(name) : undefined;
}

export function nameLeft(): string | undefined {
  try {
    return readFileSync(NAME_FILE, 'utf8').trim();
  } catch {
    return undefined;
  }
}

export function remember(name: string): void {
  mkdirSync(STATE, { recursive: true });
  writeFileSync(NAME_FILE, `${name}\n`);
}

export const forget = (): void => rmSync(NAME_FILE, { force: true });

/** For `eval`: kubectl, helm and ctr find the cluster. */
export function shellLines({ directory }: Instance): string {
  const folders = [kubeProgram('kubectl'), helmProgram(), nodeProgram('usr/bin/ctr')].map((file) =>
    dirname(file),
  );
  return [
    `export KUBECONFIG=${join(directory, 'admin.yaml')}`,
    `export CONTAINERD_ADDRESS=${join(directory, 'node/run/containerd/containerd.sock')} CONTAINERD_NAMESPACE=k8s.io`,
    `export PATH=${folders.join(':')}:$PATH`,
    '',
  ].join('\n');
}
