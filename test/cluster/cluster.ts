/** A real Kubernetes of one node on this machine, for tests: everything that runs in one is the real program. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from '../harness/run-tool.ts';
import type { AuditedRequest } from '../kube/audit.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import { createKubectl, type Kubectl } from '../kube/kubectl.ts';
import { helmProgram } from '../kube/programs.ts';
import { applyCertManager, certManagerReady } from './cert-manager.ts';
import { startContainerd } from './containerd.ts';
import { applyCoredns } from './coredns.ts';
import { packImage } from './image.ts';
import { certManager, client, coredns, nginx, pause } from './images.ts';
import type { Instance } from './instance.ts';
import { startKubeProxy } from './kube-proxy.ts';
import { startKubelet } from './kubelet.ts';
import { startMachine } from './machine.ts';
import { takePlace } from './place.ts';
import { removeStale } from './removal.ts';

export interface Cluster {
  instance: Instance;
  /** Path; of a member of system:masters. */
  kubeconfig: string;
  kubectl: Kubectl;
  /** helm with that kubeconfig. */
  helm: Kubectl;
  node: ClusterNode;
  /** References of images that are there: a server, and a client with curl, wrk and Python. */
  images: { nginx: string; client: string };
  /** A docker-archive or OCI layout (a tar), into the node. Returns the names that it carries. */
  importImage(tar: string): Promise<string[]>;
  /** What a pod's container has written so far. */
  podLog(namespace: string, pod: string, container?: string): Promise<string>;
  /** What a server has written: `kubelet`, `containerd`, `kube-proxy`, `kube-apiserver`, `kube-scheduler`, … */
  serverLog(name: string): string;
  /** What podmirror's accounts have asked of the API server. */
  audit(): AuditedRequest[];
  /** Ends the API server as a crash would; `startApiServer` brings it back with the same address and data. */
  killApiServer(): Promise<void>;
  stopApiServer(): Promise<void>;
  startApiServer(): Promise<void>;
  restartApiServer(): Promise<void>;
  restartContainerd(): Promise<void>;
  /** Takes everything off the machine. */
  stop(): Promise<void>;
}

export interface ClusterNode {
  name: string;
  /** InternalIP. This machine routes pods' and Services' addresses there. */
  address: string;
  /** containerd's socket, as this machine sees it. */
  containerd: string;
  /** What kubelets on this machine's cgroup mounts have their `kubepods` below, as `/podmirror-137`. */
  cgroup: string;
  /** Runs a command in the node's mount, network and UTS namespaces; returns its stdout. */
  inside(command: readonly string[]): Promise<string>;
  /** The command line that does so. */
  command(command: readonly string[]): [string, ...string[]];
}

export interface ClusterOptions {
  /** Without: no `cert-manager`, which takes about a quarter of the start. */
  certManager?: boolean;
  /** Is told what has been reached. */
  onProgress?(step: string): void;
}

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { certManager: withCertManager = true, onProgress = () => {} } = options;
  for (const name of await removeStale()) onProgress(`took away ${name}, whose process had ended`);
  const recipes = [pause(), coredns(), nginx(), client(), ...(withCertManager ? [certManager()] : [])];
  const archives = recipes.map(packImage);
  onProgress('images are packed');

  await using undo = new AsyncDisposableStack();
  const { instance, cgroup } = takePlace(undo);
  const [kube, { machine, containerd }] = await both(
    startControlPlane(instance, cgroup),
    startRuntime({ instance, cgroup, archives, pauseImage: pause().name }),
  );
  const { kubectl, kubeconfig } = kube;
  onProgress('the API server and containerd are ready');
  const place = { machine, instance, kube, runtime: containerd };
  await Promise.all([
    startKubelet(place),
    startKubeProxy(place),
    applyCoredns({ kubectl, image: coredns().name, address: instance.dnsAddress }),
    withCertManager ? applyCertManager({ kubectl, image: certManager().name }) : undefined,
  ]);
  onProgress('the node is ready');
  await Promise.all([
    kubectl(['rollout', 'status', 'deployment/coredns', '-n', 'kube-system', '--timeout=60s']),
    withCertManager ? certManagerReady(kubectl) : undefined,
  ]);
  onProgress(withCertManager ? 'CoreDNS and cert-manager are ready' : 'CoreDNS is ready');

  const parts = undo.move();
  const node: ClusterNode = {
    name: instance.node.name,
    address: instance.node.address,
    containerd: containerd.address,
    cgroup: instance.cgroup,
    command: machine.inside,
    inside(command) {
      const [file, ...args] = machine.inside(command);
      return runTool(file, args);
    },
  };
  return {
    instance,
    kubeconfig,
    kubectl,
    helm: createKubectl({ kubeconfig, home: kube.directory, program: helmProgram() }),
    node,
    images: { nginx: nginx().name, client: client().name },
    importImage: containerd.importImage,
    podLog: (namespace, pod, container) =>
      kubectl(['logs', '-n', namespace, pod, ...(container ? ['-c', container] : [])]),
    serverLog: (name) => readFileSync(join(instance.directory, `${name}.log`), 'utf8'),
    audit: kube.audit,
    killApiServer: kube.killApiServer,
    stopApiServer: kube.stopApiServer,
    startApiServer: kube.startApiServer,
    async restartApiServer() {
      await kube.stopApiServer();
      await kube.startApiServer();
    },
    restartContainerd: containerd.restart,
    stop: () => parts.disposeAsync(),
  };
}

function startControlPlane(instance: Instance, cgroup: string): Promise<Kube> {
  const { directory, hostAddress, serviceRange, serviceAddress, node } = instance;
  const [address, advertised, port] = [hostAddress, hostAddress, 6443];
  const network = { address, advertised, port, serviceRange, serviceAddress, nodes: [node] };
  return startKube({ directory, cgroup, network });
}

interface RuntimeOptions {
  instance: Instance;
  cgroup: string;
  archives: readonly string[];
  pauseImage: string;
}

async function startRuntime({ instance, cgroup, archives, pauseImage }: RuntimeOptions) {
  const machine = await startMachine({ instance, cgroup });
  const containerd = await startContainerd({ machine, instance, pauseImage });
  for (const archive of archives) await containerd.importImage(archive);
  return { machine, containerd };
}

/** What has failed is told when nothing is being started any more. */
async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second]);
  return Promise.all([first, second]);
}
