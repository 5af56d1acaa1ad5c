/** CRI-O with runc, conmon and CNI plugins in a node. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from '../harness/run-tool.ts';
import { startService } from '../harness/service.ts';
import { crioProgram } from '../kube/programs.ts';
import type { Instance } from './instance.ts';
import type { Machine } from './machine.ts';
import { writePodNetwork } from './pod-network.ts';
import { nodeEnvironment, nodeProgram } from './programs.ts';
import type { Runtime } from './runtime.ts';

export interface CrioOptions {
  machine: Machine;
  instance: Instance;
  pauseImage: string;
}

// In an emulated machine it takes its time.
const READY_MS = 120_000;
const SOCKET = '/run/crio/crio.sock';
const [ROOT, RUN_ROOT] = ['/var/lib/containers/storage', '/run/containers/storage'];

/** Cgroups are made by systemd, as it has them by default. */
export async function startCrio({ machine, instance, pauseImage }: CrioOptions): Promise<Runtime> {
  const { directory } = machine;
  const config = join(directory, 'crio.conf');
  const policy = join(directory, 'policy.json');
  writeFileSync(policy, JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }));
  writeFileSync(config, configuration({ policy, pauseImage, network: writePodNetwork(machine, instance) }));
  const [test = '', ...isThere] = machine.inside(['test', '-S', SOCKET]);
  await startService({
    name: 'CRI-O',
    args: machine.inside([crioProgram('crio'), `--config=${config}`, '--config-dir=']),
    env: nodeEnvironment('crio'),
    logFile: join(instance.directory, 'crio.log'),
    ready: async () => (await runTool(test, isThere)) === '',
    readyTimeoutMs: READY_MS,
  });
  return {
    endpoint: `unix://${SOCKET}`,
    async importImage(tar) {
      const names = await namesIn(tar);
      for (const name of names) {
        const environment = Object.entries(nodeEnvironment('crio')).map((pair) => pair.join('='));
        const store = `containers-storage:[overlay@${ROOT}+${RUN_ROOT}]${name}`;
        const copy = ['--insecure-policy', 'copy', '--quiet', `docker-archive:${tar}`, store];
        const [file, ...args] = machine.inside([
          'env',
          ...environment,
          nodeProgram('usr/bin/skopeo', 'crio'),
          ...copy,
        ]);
        await runTool(file, args);
      }
      return names;
    },
  };
}

async function namesIn(tar: string): Promise<string[]> {
  const images = JSON.parse(await runTool('tar', ['-xOf', tar, 'manifest.json'])) as { RepoTags: string[] }[];
  return images.flatMap(({ RepoTags }) => RepoTags);
}

interface Settings {
  policy: string;
  pauseImage: string;
  network: string;
}

const configuration = ({ policy, pauseImage, network }: Settings): string => `
[crio]
root = "${ROOT}"
runroot = "${RUN_ROOT}"
storage_driver = "overlay"
[crio.api]
listen = "${SOCKET}"
[crio.runtime]
cgroup_manager = "systemd"
default_runtime = "runc"
pinns_path = "${crioProgram('pinns')}"
hooks_dir = []
# No pod here asks for a port of its node; to give one takes iptables or nft.
disable_hostport_mapping = true
[crio.runtime.runtimes.runc]
runtime_path = "${nodeProgram('usr/sbin/runc', 'crio')}"
runtime_type = "oci"
runtime_root = "/run/runc"
monitor_path = "${nodeProgram('usr/bin/conmon', 'crio')}"
monitor_cgroup = "system.slice"
[crio.image]
pause_image = "${pauseImage}"
pause_command = ""
signature_policy = "${policy}"
[crio.network]
network_dir = "${network}"
plugin_dirs = ["${nodeProgram('usr/lib/cni', 'crio')}"]
`;
