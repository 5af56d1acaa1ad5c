/** podmirror in a test's cluster, as people put it there and take it away. */
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { Cluster } from '../cluster/cluster.ts';
import { buildImages } from '../images/images.ts';
import { BASE } from '../manifests/base-files.ts';
import { type AgentView, agentView } from './agent-view.ts';
import { forwardPort } from './port-forward.ts';
import { type AttackRecord, openRecord } from './record.ts';

export const NAMESPACE = 'podmirror';
export const CHART = fileURLToPath(new URL('../../manifests/chart', import.meta.url));

export interface Podmirror {
  record: AttackRecord;
  agent: AgentView;
  uninstall(): Promise<void>;
}

export type Values = Record<string, unknown>;

const token = 'the-token-of-the-end-to-end-tests';
// What the node of a test has is little; limits stay as the chart sets them.
const requests = { cpu: '10m', memory: '32Mi' };

/** Beside the chart's own. The API is in the Service, since this machine routes to Services. */
export const testValues: Values = {
  agent: { resources: { requests } },
  webhook: { resources: { requests } },
  processing: { resources: { requests }, api: { token, expose: true } },
};

/** The images of this tree, into the node. */
export async function importImages(cluster: Cluster): Promise<void> {
  await Promise.all(Object.values(await buildImages()).map(cluster.importImage));
}

/** `helm install`, over `testValues`; ready when it returns. The images must be there. */
export async function installChart(
  cluster: Cluster,
  values: Values = {},
  chart: string = CHART,
): Promise<Podmirror> {
  const { helm } = cluster;
  const args = ['-n', NAMESPACE, '--create-namespace', '--wait', '--timeout=120s', '--values', '-'];
  await helm(['install', 'podmirror', chart, ...args], stringify(merged(testValues, values)));
  await agentReady(cluster);
  return {
    record: openRecord({ url: await apiUrl(cluster), token }),
    agent: agentView(cluster),
    async uninstall() {
      await helm(['uninstall', 'podmirror', '-n', NAMESPACE, '--wait', '--timeout=120s']);
    },
  };
}

/** `kubectl apply -k manifests/base`; the API by `kubectl port-forward`, with the token that the processor made. */
export async function applyBase(cluster: Cluster): Promise<Podmirror> {
  const { kubectl } = cluster;
  await kubectl(['apply', '-k', BASE]);
  for (const deployment of ['podmirror-webhook', 'podmirror-processor'])
    await kubectl(['rollout', 'status', `deployment/${deployment}`, '-n', NAMESPACE, '--timeout=120s']);
  await agentReady(cluster);
  const processor = 'deployment/podmirror-processor';
  const made = await kubectl([
    'exec',
    '-n',
    NAMESPACE,
    processor,
    '--',
    'cat',
    '/var/lib/podmirror/api-token',
  ]);
  const forwarded = await forwardPort(cluster, { namespace: NAMESPACE, target: processor, port: 8080 });
  return {
    record: openRecord({ url: forwarded.url, token: made.trim() }),
    agent: agentView(cluster),
    async uninstall() {
      await forwarded.stop();
      await kubectl(['delete', '-k', BASE, '--wait', '--timeout=120s']);
    },
  };
}

/** Helm does not wait for a DaemonSet of one node: one pod may be missing. */
async function agentReady({ kubectl }: Cluster): Promise<void> {
  await kubectl(['rollout', 'status', 'daemonset/podmirror-agent', '-n', NAMESPACE, '--timeout=120s']);
}

async function apiUrl({ kubectl }: Cluster): Promise<string> {
  const address = ['-o', 'jsonpath={.spec.clusterIP}'];
  return `http://${await kubectl(['get', 'service/podmirror-processor', '-n', NAMESPACE, ...address])}:8080`;
}

function merged(base: Values, over: Values): Values {
  const isMap = (value: unknown): value is Values =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const both = Object.entries(over).map(([key, value]) => {
    const before = base[key];
    return [key, isMap(before) && isMap(value) ? merged(before, value) : value];
  });
  return { ...base, ...Object.fromEntries(both) };
}
