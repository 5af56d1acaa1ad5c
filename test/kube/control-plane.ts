/** The servers of a control plane, with the flags that they have in a test. */
import { mkdirSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { freePort } from '../harness/free-port.ts';
import { type Service, startService } from '../harness/service.ts';
import { type Credentials, FRONT_PROXY } from './credentials.ts';
import type { KubeNetwork } from './network.ts';
import { kubeProgram } from './programs.ts';

export interface ServerPlace {
  /** Holds what `writeCredentials` wrote, and the servers' data. */
  directory: string;
  cgroup?: string | undefined;
}

type Flags = Record<string, string>;

const READY_MS = 60_000;

export async function startEtcd({ directory, cgroup }: ServerPlace): Promise<Service & { url: string }> {
  const url = `http://127.0.0.1:${await freePort()}`;
  const peerUrl = `http://127.0.0.1:${await freePort()}`;
  const service = await start('etcd', { directory, cgroup }, async () => (await fetch(`${url}/health`)).ok, {
    'data-dir': join(directory, 'etcd'),
    'listen-client-urls': url,
    'advertise-client-urls': url,
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    'initial-cluster': `default=${peerUrl}`,
    // The data live as long as the test.
    'unsafe-no-fsync': 'true',
    'log-level': 'warn',
  });
  return { ...service, url };
}

export interface ApiServerOptions extends ServerPlace {
  etcdUrl: string;
  network: KubeNetwork;
  credentials: Credentials;
}

export function startApiServer(options: ApiServerOptions): Promise<Service> {
  const { directory, etcdUrl, network, credentials } = options;
  const file = (name: string) => join(directory, name);
  mkdirSync(file('certificates'), { recursive: true });
  return start('kube-apiserver', options, () => isReady(network, credentials), {
    'bind-address': network.address,
    'advertise-address': network.advertised,
    'secure-port': String(network.port),
    'etcd-servers': etcdUrl,
    'cert-dir': file('certificates'),
    'tls-cert-file': file('apiserver.crt'),
    'tls-private-key-file': file('apiserver.key'),
    'client-ca-file': credentials.caFile,
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': file('sa.pub'),
    'service-account-signing-key-file': file('sa.key'),
    'service-cluster-ip-range': network.serviceRange,
    'token-auth-file': file('tokens.csv'),
    'authorization-mode': 'Node,RBAC',
    'enable-admission-plugins': 'NodeRestriction',
    'audit-policy-file': file('audit-policy.yaml'),
    'audit-log-path': file('audit.log'),
    // The service network is not on this machine: a webhook's Service is reached by its endpoints.
    'enable-aggregator-routing': 'true',
    'kubelet-client-certificate': file('kubelet-client.crt'),
    'kubelet-client-key': file('kubelet-client.key'),
    'kubelet-certificate-authority': credentials.caFile,
    'kubelet-preferred-address-types': 'InternalIP',
    'requestheader-client-ca-file': file('front-ca.crt'),
    'requestheader-allowed-names': FRONT_PROXY,
    'requestheader-username-headers': 'X-Remote-User',
    'requestheader-group-headers': 'X-Remote-Group',
    'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
    'proxy-client-cert-file': file('front-client.crt'),
    'proxy-client-key-file': file('front-client.key'),
    'allow-privileged': 'true',
    // One client makes thousands of objects here.
    'max-requests-inflight': '2000',
    'max-mutating-requests-inflight': '1000',
  });
}

export interface ControllersOptions extends ServerPlace {
  credentials: Credentials;
  /** Of nodes that die and of their pods, too. */
  nodes: boolean;
  ready(): Promise<boolean>;
}

export function startControllers(options: ControllersOptions): Promise<Service> {
  const { directory, credentials, nodes, ready } = options;
  return start('kube-controller-manager', options, ready, {
    ...asClient(credentials.kubeconfigs.controllers),
    'use-service-account-credentials': 'true',
    'service-account-private-key-file': join(directory, 'sa.key'),
    'root-ca-file': credentials.caFile,
    'cluster-signing-cert-file': credentials.caFile,
    'cluster-signing-key-file': join(directory, 'ca.key'),
    // Where no node runs anything, what is bound by hand stays.
    controllers: nodes
      ? '*'
      : '*,-node-lifecycle-controller,-taint-eviction-controller,-pod-garbage-collector-controller',
  });
}

export function startScheduler({
  credentials,
  ...place
}: ServerPlace & { credentials: Credentials }): Promise<Service> {
  // Whoever makes a pod sees whether it works.
  return start('kube-scheduler', place, async () => true, asClient(credentials.kubeconfigs.scheduler));
}

const asClient = (kubeconfig: string): Flags => ({
  kubeconfig,
  'authentication-kubeconfig': kubeconfig,
  'authorization-kubeconfig': kubeconfig,
  'bind-address': '127.0.0.1',
  'secure-port': '0',
  'leader-elect': 'false',
  'kube-api-qps': '500',
  'kube-api-burst': '1000',
});

function start(
  name: string,
  { directory, cgroup }: ServerPlace,
  ready: () => Promise<boolean>,
  flags: Flags,
) {
  return startService({
    name,
    args: [kubeProgram(name), ...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)],
    cgroup,
    logFile: join(directory, `${name}.log`),
    ready,
    readyTimeoutMs: READY_MS,
  });
}

function isReady(
  { address, port }: KubeNetwork,
  { ca, adminToken }: Pick<Credentials, 'ca' | 'adminToken'>,
): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${adminToken}` };
    const ask = request({ host: address, port, path: '/readyz', ca, headers }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ask.on('error', () => resolve(false)).end();
  });
}
