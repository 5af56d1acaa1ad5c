/** What people run: Deployments of nginx behind Services, and a pod to ask from. */
import type { Cluster } from '../cluster/cluster.ts';
import { type KubeObject, manifest } from '../cluster/manifest.ts';
import { until } from '../harness/until.ts';

export const MIRROR_LABEL = 'wallarm-mirror';
export const MIRROR_ANNOTATION = 'mirror.wallarm.com/enabled';

export interface WorkloadOptions {
  namespace: string;
  name: string;
  /** Container → the port that its nginx answers at, 200 to everything. */
  containers: Readonly<Record<string, number>>;
  replicas?: number;
  /** Of the template, beside `app: <name>`. */
  labels?: Readonly<Record<string, string>>;
  annotations?: Readonly<Record<string, string>>;
}

export const namespaceObject = (name: string, labels: Readonly<Record<string, string>> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels },
});

/** A Deployment, its Service of the same name, and nginx's configurations. */
export function workloadObjects(nginxImage: string, options: WorkloadOptions): KubeObject[] {
  const { namespace, name, containers, replicas = 1, labels = {}, annotations = {} } = options;
  const metadata = { namespace, name };
  const selector = { app: name };
  const configurations = Object.entries(containers).map(([container, port]) => [
    `${container}.conf`,
    nginxConfiguration(port),
  ]);
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: Object.fromEntries(configurations) },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas,
        selector: { matchLabels: selector },
        template: {
          metadata: { labels: { ...labels, ...selector }, annotations },
          spec: nginxPod({ image: nginxImage, configurations: name, containers }),
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: {
        selector,
        ports: Object.entries(containers).map(([container, port]) => ({ name: container, port })),
      },
    },
  ];
}

/** `configurations`: the ConfigMap that has them. */
export function nginxPod({
  image,
  configurations,
  containers,
}: {
  image: string;
  configurations: string;
  containers: Readonly<Record<string, number>>;
}) {
  return {
    terminationGracePeriodSeconds: 0,
    enableServiceLinks: false,
    volumes: [{ name: 'nginx', configMap: { name: configurations } }],
    containers: Object.entries(containers).map(([container, port]) => ({
      name: container,
      image,
      args: ['-c', `/etc/podmirror-test/${container}.conf`],
      readinessProbe: { tcpSocket: { port }, periodSeconds: 1 },
      volumeMounts: [{ name: 'nginx', mountPath: '/etc/podmirror-test' }],
    })),
  };
}

/** `tls`: with the certificate that lies beside the configuration. */
export const nginxConfiguration = (port: number, tls = false): string => `
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr;
events {}
http {
  access_log /dev/stdout;
  server {
    listen ${port}${tls ? ' ssl' : ''};
    ${tls ? 'ssl_certificate /etc/podmirror-test/tls.crt;\n    ssl_certificate_key /etc/podmirror-test/tls.key;' : ''}
    return 200 "hello\\n";
  }
}
`;

/** Applies namespaces and workloads, and waits until their pods are ready. */
export async function runWorkloads(
  { kubectl, images }: Cluster,
  namespaces: readonly KubeObject[],
  workloads: readonly WorkloadOptions[],
): Promise<void> {
  const objects = workloads.flatMap((workload) => workloadObjects(images.nginx, workload));
  await kubectl(['apply', '-f', '-'], manifest([...namespaces, ...objects]));
  for (const { namespace, name } of workloads)
    await kubectl(['rollout', 'status', `deployment/${name}`, '-n', namespace, '--timeout=90s']);
}

export interface ClientPod {
  /** Its pod's. */
  address: string;
  /**
   * Status of each answer, 0 for none. One curl asks for all of them in order, again where nobody listens: a Service leads
   * to a pod that has gone until the node's proxy has heard of it.
   */
  get(...urls: string[]): Promise<number[]>;
}

/** A pod with curl in a namespace of its own. */
export async function startClient({ kubectl, images }: Cluster, namespace = 'clients'): Promise<ClientPod> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'client', namespace },
    spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'client', image: images.client }] },
  };
  // The default ServiceAccount comes a moment after the namespace.
  const made = await until(
    async () =>
      (await kubectl.attempt(['apply', '-f', '-'], manifest([namespaceObject(namespace), pod]))).code === 0,
    { timeoutMs: 30_000, everyMs: 200 },
  );
  if (!made) throw new Error(`start a client in namespace ${namespace}: it cannot be made`);
  await kubectl(['wait', 'pod/client', '-n', namespace, '--for=condition=Ready', '--timeout=60s']);
  const address = await kubectl(['get', 'pod/client', '-n', namespace, '-o', 'jsonpath={.status.podIP}']);
  const curl = ['exec', '-n', namespace, 'client', '--', 'curl', '--silent', '--path-as-is'];
  const patience = ['--connect-timeout', '2', '--retry', '5', '--retry-delay', '1', '--retry-all-errors'];
  const each = ['--output', '/dev/null', '--max-time', '5', ...patience, '--write-out', '%{http_code}\\n'];
  return {
    address,
    async get(...urls) {
      const asked = urls.flatMap((url, index) => [...(index ? ['--next', '--silent'] : []), ...each, url]);
      const { stdout } = await kubectl.attempt([...curl, ...asked]);
      return stdout.trim().split('\n').map(Number);
    },
  };
}

/** What asks for a file that nobody should get. The path makes it an attack of its own on record. */
export const attackUrl = (host: string, path: string): string =>
  `http://${host}${path}?file=../../../etc/passwd`;
