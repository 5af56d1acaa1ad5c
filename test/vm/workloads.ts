/** Pods of nginx, of each quality of service, since these have slices of their own; and what of them is asked for. */
import { stringify } from 'yaml';
import { createAuthority, issueLeaf } from '../../certs/authority.ts';
import { nginx } from '../cluster/images.ts';
import { type KubeObject, manifest } from '../cluster/manifest.ts';
import { filtersManifest } from '../e2e/filters.ts';
import { MIRROR_LABEL, namespaceObject, nginxConfiguration, nginxPod } from '../e2e/workload.ts';
import { until } from '../harness/until.ts';
import type { Kubectl } from '../kube/kubectl.ts';

interface Workload {
  /** Container → port. */
  containers: Readonly<Record<string, number>>;
  /** Containers that are to be mirrored. */
  chosen: readonly string[];
  /** Of the namespace, with the label that asks for all that is in it. */
  labelled: boolean;
  resources?: object;
  tls?: boolean;
}

/** By namespace; each has one pod, `web`. */
export const WORKLOADS: Readonly<Record<string, Workload>> = {
  labelled: {
    containers: { nginx: 80 },
    chosen: ['nginx'],
    labelled: true,
    resources: { requests: { cpu: '10m', memory: '16Mi' } },
  },
  // A filter asks for one of two.
  filtered: {
    containers: { nginx: 80, side: 8080 },
    chosen: ['side'],
    labelled: false,
    resources: { limits: { cpu: '100m', memory: '64Mi' } },
  },
  secure: { containers: { nginx: 443 }, chosen: ['nginx'], labelled: true, tls: true },
  neighbour: { containers: { nginx: 80 }, chosen: [], labelled: false },
};

const FILTERS = [{ namespace: 'filtered', container_name: 'side' }];

export async function runWorkloads(kubectl: Kubectl): Promise<void> {
  await kubectl(['apply', '-f', '-'], filtersManifest(stringify({ filters: FILTERS })));
  const { cert, key } = issueLeaf(createAuthority({ commonName: 'node', days: 2 }), {
    commonName: 'secure.example',
    dnsNames: ['secure.example'],
    usages: ['server'],
    days: 2,
  });
  const certificate = { 'tls.crt': cert, 'tls.key': key };
  const objects = Object.entries(WORKLOADS).flatMap(([namespace, workload]) =>
    objectsOf(namespace, workload, certificate),
  );
  // The default ServiceAccount comes a moment after its namespace.
  const made = await until(
    async () => (await kubectl.attempt(['apply', '-f', '-'], manifest(objects))).code === 0,
    { timeoutMs: 60_000, everyMs: 500 },
  );
  if (!made) throw new Error('run workloads: they cannot be made');
  for (const namespace of Object.keys(WORKLOADS))
    await kubectl(['wait', 'pod/web', '-n', namespace, '--for=condition=Ready', '--timeout=600s']);
}

function objectsOf(
  namespace: string,
  { containers, labelled, tls = false, resources = {} }: Workload,
  certificate: Readonly<Record<string, string>>,
): KubeObject[] {
  const configurations = Object.entries(containers).map(([name, port]) => [
    `${name}.conf`,
    nginxConfiguration(port, tls),
  ]);
  const pod = nginxPod({ image: nginx().name, configurations: 'nginx', containers });
  return [
    namespaceObject(namespace, labelled ? { [MIRROR_LABEL]: 'enabled' } : {}),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace, name: 'nginx' },
      data: { ...Object.fromEntries(configurations), ...(tls ? certificate : {}) },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name: 'web' },
      spec: { ...pod, containers: pod.containers.map((container) => ({ ...container, resources })) },
    },
  ];
}
