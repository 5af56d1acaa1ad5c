/** One replica of a Deployment: the pod is the API server's, and a process of ours stands for its container. */
import { connect } from 'node:tls';
import { type Service, startService } from '../harness/service.ts';
import type { Kubectl } from './kubectl.ts';
import { startKubelet } from './kubelet.ts';
import { environmentOf, type Pod, portOf } from './pod.ts';

export interface Replica {
  podName: string;
  address: string;
  /** Of the process that runs, or ran last. */
  readonly pid: number;
  /** http://<address>:<port>, for /live and /ready. */
  healthUrl: string;
  /** http://<address>:<port>, for /metrics and /explain. */
  opsUrl: string;
  /** What its processes wrote, one after the other. */
  output(): string;
  /** Resolves when the API server can reach it through the Service; at once when it runs already. */
  start(options?: StartOptions): Promise<void>;
  /** As when a pod is deleted: endpoints forget it while it drains. Takes as long as the Deployment's drain. */
  stop(): Promise<void>;
  /** The pod is being deleted: ends the process in order, then lets the pod go. */
  retire(): Promise<void>;
  /** SIGKILL; resolves when endpoints have forgotten it. */
  kill(): Promise<void>;
  /** What its readiness probe finds then, endpoints learn after some seconds. */
  signal(signal: NodeJS.Signals): void;
  /** Ends it at once and tells nobody: the test is over. */
  leave(): Promise<void>;
  /** SHA-256 of the certificate that it serves now. */
  fingerprint(): Promise<string>;
}

export interface StartOptions {
  /** NODE_OPTIONS of this process. */
  nodeOptions?: string;
}

export interface ReplicaOptions {
  kubectl: Kubectl;
  pod: Pod;
  address: string;
  /** What the image runs. */
  main: string;
  /** After those of the pod, for a machine that is no container. */
  args(): Promise<string[]>;
}

// Loading its modules takes about a second, and on a busy machine several.
const READY_MS = 60_000;

export async function createReplica({ kubectl, pod, address, main, args }: ReplicaOptions): Promise<Replica> {
  const [container] = pod.spec.containers;
  const probe = container?.readinessProbe;
  if (!container || !probe?.httpGet) throw new Error(`pod ${pod.metadata.name} has no readiness probe`);
  const urlOf = (port: string | number) => `http://${address}:${portOf(container, port)}`;
  const probeUrl = `${urlOf(probe.httpGet.port)}${probe.httpGet.path}`;
  const kubelet = await startKubelet({ kubectl, pod, address, probe, probeUrl });
  let service: Service | undefined;
  let before = '';

  const signal = (name: NodeJS.Signals) => {
    if (service?.running()) process.kill(service.pid, name);
  };
  const kill = async () => {
    signal('SIGKILL');
    await service?.stop();
  };
  const stop = async () => service?.stop(graceMsOf(pod));
  const end = async (how: () => Promise<unknown>) => {
    kubelet.rest();
    await Promise.all([how(), kubelet.setReady(false)]);
  };

  return {
    podName: pod.metadata.name,
    address,
    get pid() {
      return service?.pid ?? 0;
    },
    healthUrl: urlOf('health'),
    opsUrl: urlOf('ops'),
    output: () => before + (service?.output() ?? ''),
    async start({ nodeOptions } = {}) {
      if (service?.running()) return;
      before += service?.output() ?? '';
      service = undefined;
      service = await startService({
        name: pod.metadata.name,
        args: [main, ...(container.args ?? []), ...(await args())],
        env: { ...environmentOf(pod, container), ...(nodeOptions && { NODE_OPTIONS: nodeOptions }) },
        ready: async () => (await fetch(probeUrl)).ok,
        readyTimeoutMs: READY_MS,
      });
      await kubelet.setReady(true);
      kubelet.watch();
    },
    stop: () => end(stop),
    async retire() {
      kubelet.rest();
      await stop();
      await kubelet.release();
    },
    kill: () => end(kill),
    signal,
    async leave() {
      kubelet.rest();
      await kill();
    },
    fingerprint: () => fingerprintOf(address, portOf(container, 'admission')),
  };
}

const graceMsOf = (pod: Pod) => (pod.spec.terminationGracePeriodSeconds ?? 30) * 1000;

function fingerprintOf(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}
