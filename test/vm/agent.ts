/** The DaemonSet of manifests/base in a cluster that has no processor: what the agent captures it prints to its log. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Ledger } from '../../bpf/index.d.ts';
import { type KubeObject, manifest } from '../cluster/manifest.ts';
import type { Service } from '../harness/service.ts';
import type { ClusterCoverage } from '../kube/cluster-agent.ts';
import { startIntentController } from '../kube/intent-controller.ts';
import { BASE } from '../manifests/base-files.ts';
import type { VirtualNode } from './node.ts';

export interface NodeAgent {
  coverage(): Promise<ClusterCoverage>;
  ledger(): Promise<Ledger>;
  /** So far, in the order in which they were printed. */
  exchanges(): Promise<Exchange[]>;
  log(): Promise<string>;
}

export interface Exchange {
  workload: { namespace?: string; pod?: string; container?: string };
  client: string;
  request: { method: string; target: string };
  response?: { status: number };
}

const NAMESPACE = 'podmirror';
const METRICS_PORT = 9090;
const CONFIG = {
  cluster: {},
  listen: { health: '0.0.0.0:11226', metrics: `0.0.0.0:${METRICS_PORT}` },
  log: { level: 'info', style: 'text' },
};

interface Container {
  image: string;
  args: string[];
  env: { name: string; value?: string }[];
  securityContext: { capabilities: { add: string[] } };
  [probe: string]: unknown;
}

/** The webhook, on this machine, which keeps the intent. */
export async function startController({ kube }: VirtualNode): Promise<Service> {
  await kube.kubectl(['apply', '-f', join(BASE, 'namespace.yaml')]);
  return startIntentController(kube, NAMESPACE);
}

/** With capabilities beside those of the manifest. Returns when it is ready; the controller must be there. */
export async function deployAgent(
  { kube, instance }: VirtualNode,
  capabilities: readonly string[] = [],
): Promise<NodeAgent> {
  const { kubectl } = kube;
  await kubectl(['apply', '-f', join(BASE, 'agent/rbac.yaml')]);
  const metadata = { namespace: NAMESPACE, name: 'podmirror-agent' };
  const config = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata,
    data: { 'podmirror.yaml': stringify(CONFIG) },
  };
  await kubectl(['apply', '-f', '-'], manifest([config, daemonSet(instance.hostAddress, capabilities)]));
  await kubectl(['rollout', 'status', 'daemonset/podmirror-agent', '-n', NAMESPACE, '--timeout=600s']);
  const address = await kubectl(['get', 'pods', '-n', NAMESPACE, '-o', 'jsonpath={.items[0].status.podIP}']);
  const page = async (name: string): Promise<unknown> =>
    (await fetch(`http://${address}:${METRICS_PORT}/${name}`)).json();
  const log = () => kubectl(['logs', '-n', NAMESPACE, 'daemonset/podmirror-agent', '--tail=-1']);
  return {
    coverage: async () => (await page('coverage')) as ClusterCoverage,
    ledger: async () => (await page('ledger')) as Ledger,
    log,
    async exchanges() {
      const lines = (await log()).split('\n').filter((line) => line.startsWith('{'));
      return lines.map((line) => JSON.parse(line) as Exchange);
    },
  };
}

/** Changed in what it is told: where the API server is, that there is no processor, and to be patient. */
function daemonSet(apiServer: string, capabilities: readonly string[]): KubeObject {
  const object = parse(readFileSync(join(BASE, 'agent/daemonset.yaml'), 'utf8')) as KubeObject & {
    spec: {
      template: { spec: { containers: Container[]; volumes: { name: string; projected?: unknown }[] } };
    };
  };
  const { containers, volumes } = object.spec.template.spec;
  for (const container of containers) {
    // CRI-O takes no short name, unless the node has a configuration of registries.
    container.image = `docker.io/library/${container.image}`;
    container.args.push('--print');
    container.securityContext.capabilities.add.push(...capabilities);
    container.env.push(
      { name: 'KUBERNETES_SERVICE_HOST', value: apiServer },
      { name: 'KUBERNETES_SERVICE_PORT', value: '6443' },
    );
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'])
      container[probe] = { ...(container[probe] as object), timeoutSeconds: 30, failureThreshold: 300 };
  }
  for (const volume of volumes) {
    if (volume.projected) volume.projected = { sources: [{ configMap: { name: 'podmirror-agent' } }] };
  }
  return object;
}
