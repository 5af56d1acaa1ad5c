/** CoreDNS in a cluster, as its addon of the usual names: Service `kube-dns` in kube-system. */
import type { Kubectl } from '../kube/kubectl.ts';
import { manifest } from './manifest.ts';

export interface CorednsOptions {
  kubectl: Kubectl;
  image: string;
  /** Which kubelets tell their pods. */
  address: string;
}

const NAMESPACE = 'kube-system';
const LABELS = { 'k8s-app': 'kube-dns' };
const COREFILE = `.:53 {
  errors
  health
  ready
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    pods insecure
  }
  cache 5
}
`;

/** Resolves once it is applied; `kubectl wait` tells when it answers. */
export async function applyCoredns({ kubectl, image, address }: CorednsOptions): Promise<void> {
  const metadata = { name: 'coredns', namespace: NAMESPACE };
  const role = { name: 'system:coredns' };
  const ports = [
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'dns-tcp', port: 53, protocol: 'TCP' },
  ];
  const container = {
    name: 'coredns',
    image,
    args: ['-conf', '/etc/coredns/Corefile'],
    ports: ports.map(({ name, port, protocol }) => ({ name, containerPort: port, protocol })),
    readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
    volumeMounts: [{ name: 'config', mountPath: '/etc/coredns' }],
  };
  await kubectl(
    ['apply', '-f', '-'],
    manifest([
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: role,
        rules: [
          { apiGroups: [''], resources: ['services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
          { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
        ],
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: role,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role.name },
        subjects: [{ kind: 'ServiceAccount', ...metadata }],
      },
      { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { Corefile: COREFILE } },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata,
        spec: {
          selector: { matchLabels: LABELS },
          template: {
            metadata: { labels: LABELS },
            spec: {
              serviceAccountName: 'coredns',
              dnsPolicy: 'Default',
              priorityClassName: 'system-cluster-critical',
              containers: [container],
              volumes: [{ name: 'config', configMap: { name: 'coredns' } }],
            },
          },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'kube-dns', namespace: NAMESPACE },
        spec: { clusterIP: address, selector: LABELS, ports },
      },
    ]),
  );
}
