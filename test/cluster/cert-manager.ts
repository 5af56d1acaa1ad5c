/** cert-manager in a cluster, with its names of the usual installation. */
import { until } from '../harness/until.ts';
import type { Kubectl } from '../kube/kubectl.ts';
import { certManagerResources } from '../kube/programs.ts';
import { type KubeObject, manifest } from './manifest.ts';

export interface CertManagerOptions {
  kubectl: Kubectl;
  image: string;
}

const NAMESPACE = 'cert-manager';
const WEBHOOK = 'cert-manager-webhook';
const SECRET = 'cert-manager-webhook-ca';
const READY_MS = 60_000;

export async function applyCertManager({ kubectl, image }: CertManagerOptions): Promise<void> {
  // Some are larger than the annotation in which a plain `apply` would remember them.
  await kubectl(['apply', '--server-side', '-f', certManagerResources()]);
  const parts = [
    part('cert-manager', image, ['controller']),
    part('cert-manager-cainjector', image, ['cainjector']),
    part(WEBHOOK, image, [
      'webhook',
      '--secure-port=10250',
      `--dynamic-serving-ca-secret-namespace=${NAMESPACE}`,
      `--dynamic-serving-ca-secret-name=${SECRET}`,
      `--dynamic-serving-dns-names=${WEBHOOK},${WEBHOOK}.${NAMESPACE},${WEBHOOK}.${NAMESPACE}.svc`,
    ]),
  ];
  await kubectl(['apply', '-f', '-'], manifest([...shared(), ...parts.flat()]));
}

/** Until an Issuer is judged, which takes the webhook, its certificate and the injected CA. */
export async function certManagerReady(kubectl: Kubectl): Promise<void> {
  const issuer = {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Issuer',
    metadata: { name: 'is-it-there', namespace: NAMESPACE },
    spec: { selfSigned: {} },
  };
  let said = '';
  const ask = async () => {
    const dryRun = ['create', '--dry-run=server', '-f', '-'];
    const { code, stderr } = await kubectl.attempt(dryRun, manifest([issuer]));
    said = stderr;
    return code === 0;
  };
  if (await until(ask, { timeoutMs: READY_MS, everyMs: 200 })) return;
  throw new Error(`cert-manager: not ready after ${READY_MS} ms: ${said.trim()}`);
}

const metadata = (name: string) => ({ name, namespace: NAMESPACE });

function part(name: string, image: string, args: readonly string[]): KubeObject[] {
  const labels = { 'app.kubernetes.io/name': name };
  const isWebhook = name === WEBHOOK;
  const probe = { httpGet: { path: '/healthz', port: 6080 }, periodSeconds: 1 };
  const container = { name, image, args, ...(isWebhook ? { readinessProbe: probe } : {}) };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: metadata(name) },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name },
      // Its own roles are a long list, and not what is looked at here.
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', ...metadata(name) }],
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: metadata(name),
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { serviceAccountName: name, containers: [container] } },
      },
    },
  ];
}

function shared(): KubeObject[] {
  const rule = (operations: string[]) => ({
    apiGroups: ['cert-manager.io'],
    apiVersions: ['v1'],
    operations,
    resources: ['*/*'],
  });
  const webhook = (path: string, operations: string[]) => ({
    name: 'webhook.cert-manager.io',
    rules: [rule(operations)],
    admissionReviewVersions: ['v1'],
    matchPolicy: 'Equivalent',
    timeoutSeconds: 30,
    failurePolicy: 'Fail',
    sideEffects: 'None',
    clientConfig: { service: { ...metadata(WEBHOOK), path } },
  });
  const configuration = {
    name: WEBHOOK,
    annotations: { 'cert-manager.io/inject-ca-from-secret': `${NAMESPACE}/${SECRET}` },
  };
  const admission = 'admissionregistration.k8s.io/v1';
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadata(WEBHOOK),
      spec: {
        selector: { 'app.kubernetes.io/name': WEBHOOK },
        ports: [{ name: 'https', port: 443, targetPort: 10250 }],
      },
    },
    {
      apiVersion: admission,
      kind: 'MutatingWebhookConfiguration',
      metadata: configuration,
      webhooks: [webhook('/mutate', ['CREATE'])],
    },
    {
      apiVersion: admission,
      kind: 'ValidatingWebhookConfiguration',
      metadata: configuration,
      webhooks: [webhook('/validate', ['CREATE', 'UPDATE'])],
    },
  ];
}
