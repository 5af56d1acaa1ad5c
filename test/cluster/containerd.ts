/** containerd with runc and CNI plugins in a node. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from '../harness/run-tool.ts';
import { type Service, startService } from '../harness/service.ts';
import type { CgroupDriver } from './cgroup-driver.ts';
import type { Instance } from './instance.ts';
import type { Machine } from './machine.ts';
import { nodeEnvironment, nodeProgram } from './programs.ts';

export interface Containerd {
  /** Its socket, as this machine sees it where the node is in namespaces; in the node it is /run/containerd/containerd.sock. */
  address: string;
  /** `ctr` in the node, in the namespace that Kubernetes uses. Returns stdout. */
  ctr(args: readonly string[]): Promise<string>;
  /** A docker-archive or OCI layout, with the names that it carries. Returns those. */
  importImage(tar: string): Promise<string[]>;
  /** Ends it in order and starts it again. Pods go on meanwhile: their shims are processes of their own. */
  restart(): Promise<void>;
  running(): boolean;
  output(): string;
  stop(): Promise<void>;
}

export interface ContainerdOptions {
  machine: Machine;
  instance: Instance;
  pauseImage: string;
  /** Default: cgroupfs. */
  cgroupDriver?: CgroupDriver;
}

// In an emulated machine it takes its time.
const READY_MS = 120_000;
const SOCKET = '/run/containerd/containerd.sock';

export async function startContainerd({
  machine,
  instance,
  pauseImage,
  cgroupDriver = 'cgroupfs',
}: ContainerdOptions): Promise<Containerd> {
  const { directory } = machine;
  const config = join(directory, 'containerd.toml');
  writeFileSync(config, configuration({ directory, pauseImage, cgroupDriver }));
  mkdirSync(join(directory, 'cni'));
  writeFileSync(join(directory, 'cni/10-pods.conflist'), JSON.stringify(podNetwork(instance)));
  const ctr = (args: readonly string[]) => {
    const command = [nodeProgram('usr/bin/ctr'), '--address', SOCKET, '--namespace', 'k8s.io', ...args];
    const [file, ...rest] = machine.inside(command);
    return runTool(file, rest);
  };
  const start = () =>
    startService({
      name: 'containerd',
      args: machine.inside([nodeProgram('usr/bin/containerd'), '--config', config]),
      env: nodeEnvironment(),
      logFile: join(instance.directory, 'containerd.log'),
      ready: async () => (await ctr(['version'])).includes('Server:'),
      readyTimeoutMs: READY_MS,
    });
  let service: Service = await start();
  return {
    address: join(directory, SOCKET),
    ctr,
    async importImage(tar) {
      // "unpacking <name> (sha256:…)...done" for each.
      const said = await ctr(['images', 'import', tar]);
      return [...said.matchAll(/^unpacking (\S+) /gm)].map(([, name = '']) => name);
    },
    async restart() {
      await service.stop();
      service = await start();
    },
    running: () => service.running(),
    output: () => service.output(),
    stop: () => service.stop(),
  };
}

interface Settings {
  directory: string;
  pauseImage: string;
  cgroupDriver: CgroupDriver;
}

const configuration = ({ directory, pauseImage, cgroupDriver }: Settings): string => `
version = 2
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # Lowering a score takes CAP_SYS_RESOURCE, which not every virtual machine gives.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${nodeProgram('usr/lib/cni')}"
    conf_dir = "${directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "${nodeProgram('usr/sbin/runc')}"
      SystemdCgroup = ${cgroupDriver === 'systemd'}
`;

/** Routed, not bridged: what goes from pod to pod passes the node's rules for Services without br_netfilter. */
const podNetwork = ({ podRange }: Instance) => ({
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'ptp',
      ipam: { type: 'host-local', ranges: [[{ subnet: podRange }]], routes: [{ dst: '0.0.0.0/0' }] },
    },
  ],
});
