/** What kubectl tells of podmirror's own objects and of workloads, and how many of each are to run. */
import type { Cluster } from '../cluster/cluster.ts';
import { NAMESPACE } from './install.ts';

interface PodList {
  items: { metadata: { name: string; deletionTimestamp?: string }; status: PodStatus }[];
}

interface PodStatus {
  containerStatuses?: {
    containerID?: string;
    restartCount: number;
    lastState: { terminated?: { reason: string } };
  }[];
}

export interface ContainerState {
  pod: string;
  containerID: string | undefined;
  restartCount: number;
}

/** `labels`: a selector. Different after any restart. */
export async function containersOf(
  cluster: Cluster,
  namespace: string,
  labels: string,
): Promise<ContainerState[]> {
  return (await podsOf(cluster, namespace, labels)).flatMap(({ metadata, status }) =>
    (status.containerStatuses ?? []).map(({ containerID, restartCount }) => ({
      pod: metadata.name,
      containerID,
      restartCount,
    })),
  );
}

export interface AgentPod {
  name: string;
  restarts: number;
  /** Why its container ended last, as `OOMKilled`. */
  lastReason: string | undefined;
}

export async function agentPod(cluster: Cluster): Promise<AgentPod> {
  const pods = await podsOf(cluster, NAMESPACE, 'app.kubernetes.io/component=agent');
  const pod = pods.find(({ metadata }) => metadata.deletionTimestamp === undefined);
  const status = pod?.status.containerStatuses?.[0];
  return {
    name: pod?.metadata.name ?? '',
    restarts: status?.restartCount ?? 0,
    lastReason: status?.lastState.terminated?.reason,
  };
}

/** Returns when that many are ready, or the last is gone. */
export async function scale(
  { kubectl }: Cluster,
  component: 'processor' | 'webhook',
  replicas: number,
): Promise<void> {
  const deployment = `deployment/podmirror-${component}`;
  await kubectl(['scale', deployment, '-n', NAMESPACE, `--replicas=${replicas}`]);
  const labels = `app.kubernetes.io/component=${component}`;
  if (replicas > 0) await kubectl(['rollout', 'status', deployment, '-n', NAMESPACE, '--timeout=90s']);
  else await kubectl(['wait', 'pod', '-n', NAMESPACE, '-l', labels, '--for=delete', '--timeout=90s']);
}

export const serviceAddress = ({ kubectl }: Cluster, namespace: string, name: string): Promise<string> =>
  kubectl(['get', 'service', name, '-n', namespace, '-o', 'jsonpath={.spec.clusterIP}']);

/** Of the first container; `workload`: `daemonset/podmirror-agent`. */
export const imageOf = ({ kubectl }: Cluster, workload: string): Promise<string> =>
  kubectl(['get', workload, '-n', NAMESPACE, '-o', 'jsonpath={.spec.template.spec.containers[0].image}']);

export const filtersText = ({ kubectl }: Cluster): Promise<string> =>
  kubectl([
    'get',
    'configmap',
    'podmirror-filters',
    '-n',
    NAMESPACE,
    '-o',
    'jsonpath={.data.filters\\.yaml}',
  ]);

async function podsOf({ kubectl }: Cluster, namespace: string, labels: string): Promise<PodList['items']> {
  const answer = await kubectl(['get', 'pods', '-n', namespace, '-l', labels, '-o', 'json']);
  return (JSON.parse(answer) as PodList).items;
}
