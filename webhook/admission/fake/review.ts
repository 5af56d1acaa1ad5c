// Reviews as kube-apiserver 1.37 sends them.
import { type AdmissionRequest, readReview } from '../review.ts';

export interface FakeReview {
  kind?: string;
  group?: string;
  resource?: string;
  subResource?: string;
  operation?: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  name?: string;
  namespace?: string;
  object?: unknown;
  oldObject?: unknown;
  dryRun?: boolean;
}

/** The body of the POST. */
export function reviewBody({
  kind = 'Pod',
  group = '',
  resource = `${kind.toLowerCase()}s`,
  subResource,
  operation = 'CREATE',
  name,
  namespace = 'shop',
  object = null,
  oldObject = null,
  dryRun = false,
}: FakeReview) {
  const version = 'v1';
  return {
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: '9c2c5f3e-8a2f-4a1b-8d25-0d1f6b7c1a55',
      kind: { group, version, kind },
      resource: { group, version, resource },
      ...(subResource !== undefined && { subResource }),
      requestKind: { group, version, kind },
      requestResource: { group, version, resource },
      ...(name !== undefined && { name }),
      ...(namespace !== '' && { namespace }),
      operation,
      userInfo: { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] },
      object,
      oldObject,
      dryRun,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1', fieldManager: 'kubectl-create' },
    },
  };
}

export function fakeRequest(review: FakeReview): AdmissionRequest {
  const read = readReview(reviewBody(review));
  if (read.request === null) throw new Error(read.wrong);
  return read.request;
}

export interface FakePod {
  name?: string | undefined;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: unknown[];
  containers?: string[];
}

/** As the API server shows a pod to a mutating webhook: defaults are in, the namespace may not be. */
export function podObject({
  name,
  labels,
  annotations,
  ownerReferences,
  containers = ['web', 'log'],
}: FakePod = {}) {
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: {
      ...(name === undefined ? { generateName: 'web-7d4b9c6f5-' } : { name }),
      ...(labels && { labels }),
      ...(annotations && { annotations }),
      ...(ownerReferences && { ownerReferences }),
    },
    spec: {
      volumes: [{ name: 'kube-api-access-5xk2v', projected: { defaultMode: 420 } }],
      containers: containers.map((container) => ({
        name: container,
        image: 'nginx:1.27',
        resources: {},
        terminationMessagePath: '/dev/termination-log',
        terminationMessagePolicy: 'File',
        imagePullPolicy: 'IfNotPresent',
      })),
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      serviceAccountName: 'default',
      securityContext: {},
      schedulerName: 'default-scheduler',
      enableServiceLinks: true,
    },
    status: {},
  };
}

/** A Deployment or the like; metadata as given, at each of its places. */
export function workloadObject(metadata: object, template: object) {
  return { metadata: { name: 'web', ...metadata }, spec: { template: { metadata: template, spec: {} } } };
}
