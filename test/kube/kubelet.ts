/** The part of a kubelet that Services depend on: a pod has a node and an address, and a probe says whether it is ready. */
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../harness/until.ts';
import type { Kubectl } from './kubectl.ts';
import type { Pod, Probe } from './pod.ts';

export interface Kubelet {
  /** Says so in the pod's status; resolves when the endpoints of its Services say the same. */
  setReady(ready: boolean): Promise<void>;
  /** Says by itself from now on what the probe finds, until `rest` or `setReady`. */
  watch(): void;
  /** Says nothing more by itself. */
  rest(): void;
  /** Of a pod that is being deleted: nothing of it runs any more. */
  release(): Promise<void>;
}

export interface KubeletOptions {
  kubectl: Kubectl;
  pod: Pod;
  address: string;
  probe: Probe;
  probeUrl: string;
}

// Endpoints follow within milliseconds; a machine that is busy with something else takes its time.
const ENDPOINTS_MS = 20_000;

export async function startKubelet(options: KubeletOptions): Promise<Kubelet> {
  const { kubectl, pod, address, probe, probeUrl } = options;
  const { name, namespace } = pod.metadata;
  await assign(kubectl, pod);
  let lastSaid: boolean | undefined;
  let watching = new AbortController();
  watching.abort();

  // One after the other: what the probe found a moment ago must not come after what is asked for now.
  let saying: Promise<unknown> = Promise.resolve();
  const say = async (ready: boolean) => {
    const patch = JSON.stringify({ status: statusOf(pod, ready, address) });
    const flags = ['-n', namespace, '--subresource=status', '--type=merge', '-p', patch];
    const said = saying.catch(() => {}).then(() => kubectl(['patch', 'pod', name, ...flags]));
    saying = said;
    await said;
    lastSaid = ready;
  };

  const isInEndpoints = async () => {
    const { items } = JSON.parse(
      await kubectl(['get', 'endpointslices', '-n', namespace, '-o', 'json']),
    ) as Slices;
    return items.some(({ endpoints }) =>
      endpoints?.some(({ targetRef, conditions }) => targetRef?.name === name && conditions?.ready),
    );
  };

  const probeLoop = async (signal: AbortSignal) => {
    let failures = 0;
    while (!signal.aborted) {
      await sleep(probe.periodSeconds * 1000, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      failures = (await answers(probeUrl, probe)) ? 0 : failures + 1;
      const ready = failures === 0 || (failures < probe.failureThreshold && lastSaid === true);
      // While the API server is away there is nobody to tell; then it is told the next time.
      if (ready !== lastSaid && !signal.aborted) await say(ready).catch(() => {});
    }
  };

  return {
    async setReady(ready) {
      watching.abort();
      await say(ready);
      const isRight = async () => (await isInEndpoints()) === ready;
      if (await until(isRight, { timeoutMs: ENDPOINTS_MS, everyMs: 50 })) return;
      throw new Error(`endpoints of pod ${name}: after ${ENDPOINTS_MS} ms not yet ${ready ? '' : 'un'}ready`);
    },
    watch() {
      watching.abort();
      watching = new AbortController();
      void probeLoop(watching.signal);
    },
    rest: () => watching.abort(),
    async release() {
      const flags = ['-n', namespace, '--force', '--grace-period=0', '--ignore-not-found'];
      await kubectl(['delete', 'pod', name, ...flags]);
    },
  };
}

interface Slices {
  items: {
    endpoints?: { targetRef?: { name: string }; conditions?: { ready?: boolean } }[] | null;
  }[];
}

/** To a node of its own: endpoints of pods whose node is not there are left out. */
async function assign(kubectl: Kubectl, { metadata: { name, namespace } }: Pod): Promise<void> {
  const node = `node-of-${name}`;
  await kubectl(
    ['apply', '-f', '-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: node } }),
  );
  const target = { apiVersion: 'v1', kind: 'Node', name: node };
  const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target };
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/binding`;
  await kubectl(['create', '--raw', path, '-f', '-'], JSON.stringify(binding));
}

function statusOf({ spec }: Pod, ready: boolean, address: string) {
  const condition = (type: string, isTrue: boolean) => ({
    type,
    status: isTrue ? 'True' : 'False',
    lastTransitionTime: new Date().toISOString(),
  });
  return {
    phase: 'Running',
    podIP: address,
    podIPs: [{ ip: address }],
    conditions: [
      condition('PodScheduled', true),
      condition('Initialized', true),
      condition('ContainersReady', ready),
      condition('Ready', ready),
    ],
    containerStatuses: spec.containers.map(({ name, image }) => ({
      name,
      image,
      imageID: '',
      ready,
      started: true,
      restartCount: 0,
      state: { running: {} },
    })),
  };
}

async function answers(url: string, { timeoutSeconds }: Probe): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutSeconds * 1000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
