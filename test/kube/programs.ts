/** Where programs of and for Kubernetes are; builds them when they are not there yet. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BUILD = fileURLToPath(new URL('build.sh', import.meta.url));

/** kubectl, kube-apiserver and so on; etcd too. */
export const kubeProgram = (name: string): string => join(built('kube'), name);

/** Its first argument says which part of cert-manager it is. */
export const certManagerProgram = (): string => join(built('cert-manager'), 'cert-manager');

/** A folder with cert-manager's CustomResourceDefinitions. */
export const certManagerResources = (): string => join(built('cert-manager'), 'crds');

export const corednsProgram = (): string => join(built('coredns'), 'coredns');

export const helmProgram = (): string => join(built('helm'), 'helm');

/** CRI-O's: crio and pinns. */
export const crioProgram = (name: string): string => join(built('crio'), name);

const folders = new Map<string, string>();

function built(what: 'kube' | 'cert-manager' | 'coredns' | 'helm' | 'crio'): string {
  const folder = folders.get(what) ?? build(what);
  folders.set(what, folder);
  return folder;
}

function build(what: string): string {
  const { status, stdout, error } = spawnSync(BUILD, [what], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0)
    throw new Error(`build ${what}: ${error?.message ?? `${BUILD} ${what} failed with ${status}`}`);
  return stdout.trim();
}
