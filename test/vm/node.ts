/** A control plane on this machine, and its node as a virtual machine. No Services and no DNS, which cost an emulated processor dearly. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startContainerd } from '../cluster/containerd.ts';
import { startCrio } from '../cluster/crio.ts';
import { packImage } from '../cluster/image.ts';
import { nginx, pause } from '../cluster/images.ts';
import type { Instance } from '../cluster/instance.ts';
import { startKubelet } from '../cluster/kubelet.ts';
import type { Machine } from '../cluster/machine.ts';
import { takePlace } from '../cluster/place.ts';
import { removeStale } from '../cluster/removal.ts';
import type { Runtime } from '../cluster/runtime.ts';
import { runTool } from '../harness/run-tool.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import { startVirtualMachine } from './machine.ts';

export interface VirtualNode {
  kube: Kube;
  instance: Instance;
  /** Runs a command in it; returns its stdout. */
  inside(command: readonly string[]): Promise<string>;
  /** The last that its servers wrote. */
  logs(): string;
  /** Takes everything off this machine. */
  stop(): Promise<void>;
}

const cgroupDriver = 'systemd';
const LOGS = ['console', 'containerd', 'crio', 'kubelet'];
const LOG_KEPT = 3000;

export type RuntimeName = 'containerd' | 'CRI-O';

export interface VirtualNodeOptions {
  runtime: RuntimeName;
  /** Archives, beside nginx. */
  images: readonly string[];
  /** Is told what has been reached. */
  onProgress(step: string): void;
}

export async function startVirtualNode({
  runtime: name,
  images,
  onProgress,
}: VirtualNodeOptions): Promise<VirtualNode> {
  await removeStale();
  const archives = [...[pause(), nginx()].map(packImage), ...images];
  await using undo = new AsyncDisposableStack();
  const { instance, cgroup } = takePlace(undo);
  const logs = () =>
    LOGS.map((name) => `${name}:\n${lastOf(join(instance.directory, `${name}.log`))}`).join('\n');
  try {
    const kube = await startControlPlane(instance, cgroup);
    onProgress('the API server is ready');
    const machine = await startVirtualMachine({ instance, cgroup });
    onProgress('the virtual machine runs commands');
    const runtime = await startRuntime(name, machine, instance);
    onProgress(`${name} is ready`);
    for (const archive of archives) await runtime.importImage(archive);
    onProgress('its images are there');
    await startKubelet({ machine, instance, kube, runtime, cgroupDriver });
    onProgress('the node is ready');

    const parts = undo.move();
    return {
      kube,
      instance,
      logs,
      inside(command) {
        const [file, ...args] = machine.inside(command);
        return runTool(file, args);
      },
      stop: () => parts.disposeAsync(),
    };
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${logs()}`, { cause: error });
  }
}

function startControlPlane(instance: Instance, cgroup: string): Promise<Kube> {
  const { directory, hostAddress, serviceRange, serviceAddress, node } = instance;
  const [address, advertised, port] = [hostAddress, hostAddress, 6443];
  const network = { address, advertised, port, serviceRange, serviceAddress, nodes: [node] };
  return startKube({ directory, cgroup, network });
}

function startRuntime(name: RuntimeName, machine: Machine, instance: Instance): Promise<Runtime> {
  const options = { machine, instance, pauseImage: pause().name };
  return name === 'CRI-O' ? startCrio(options) : startContainerd({ ...options, cgroupDriver });
}

function lastOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').slice(-LOG_KEPT);
  } catch {
    return '';
  }
}
