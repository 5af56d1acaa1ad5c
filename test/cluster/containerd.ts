/** containerd with runc and CNI plugins in a node. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from '../harness/run-tool.ts';
import { type Service, startService } from '../harness/service.ts';
import type { CgroupDriver } from './cgroup-driver.ts';
import type { Instance } from './instance.ts';
import type { Machine } from './machine.ts';
import { writePodNetwork } from './pod-network.ts';
import { nodeEnvironment, nodeProgram } from './programs.ts';
import type { Runtime } from './runtime.ts';

export interface Containerd extends Runtime {
  /** Its socket, as this machine sees it where the node is in namespaces; in the node it is /run/containerd/containerd.sock. */
  address: string;
  /** `ctr` in the node, in the namespace that Kubernetes uses. Returns stdout. */
  ctr(args: readonly string[]): Promise<string>;
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
  const network = writePodNetwork(machine, instance);
  writeFileSync(config, configuration({ network, pauseImage, cgroupDriver }));
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
    endpoint: `unix://${SOCKET}`,
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
  network: string;
  pauseImage: string;
  cgroupDriver: CgroupDriver;
}

const configuration = ({ network, pauseImage, cgroupDriver }: Settings): string => `
version = 2
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # Lowering a score takes CAP_SYS_RESOURCE, which not every virtual machine gives.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${nodeProgram('usr/lib/cni')}"
    conf_dir = "${network}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "${nodeProgram('usr/sbin/runc')}"
      SystemdCgroup = ${cgroupDriver === 'systemd'}
`;
