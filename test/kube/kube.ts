/** A real etcd, kube-apiserver and kube-controller-manager on loopback, with RBAC and an audit log. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createAuthority, issueLeaf } from '../../certs/authority.ts';
import { freePort } from '../harness/free-port.ts';
import { type Service, startService } from '../harness/service.ts';
import { addAddresses } from './address.ts';
import { AUDIT_POLICY, type AuditedRequest, readAudit } from './audit.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { createKubectl, type Kubectl } from './kubectl.ts';
import { kubeProgram } from './programs.ts';

export interface Kube {
  directory: string;
  /** https://127.0.0.1:<port> */
  server: string;
  /** Of a member of system:masters. */
  kubeconfig: string;
  kubectl: Kubectl;
  /** Of this cluster alone, for what stands behind its Services. */
  addresses: readonly string[];
  /** A kubeconfig with a fresh token of a ServiceAccount, from the TokenRequest API. */
  accountConfig(namespace: string, name: string): Promise<string>;
  /** Requests of podmirror's own ServiceAccounts so far. */
  audit(): AuditedRequest[];
  /** Ends the API server as a crash would; `startApiServer` brings it back with the same address and data. */
  killApiServer(): Promise<void>;
  /** Ends it in order: it takes leave of its watches. */
  stopApiServer(): Promise<void>;
  startApiServer(): Promise<void>;
  stop(): Promise<void>;
}

export interface KubeOptions {
  /** Turns Deployments into pods and makes default ServiceAccounts. */
  controllers?: boolean;
}

const READY_MS = 60_000;

export async function startKube({ controllers = true }: KubeOptions = {}): Promise<Kube> {
  await using undo = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), 'podmirror-kube-'));
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  const addresses = addAddresses(2);
  undo.defer(() => addresses.remove());
  const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
  const server = `https://127.0.0.1:${port}`;
  const files = writeFiles(directory, server);

  const etcd = await startEtcd(directory, etcdPort, peerPort);
  undo.defer(() => etcd.stop());
  let apiServer: Service | undefined;
  const startApiServer = async () => {
    const [address = ''] = addresses.list;
    const token = files.tokens.admin;
    apiServer = await startApi({ directory, address, port, etcdPort, ca: files.caPem, token });
  };
  await startApiServer();
  undo.defer(async () => apiServer?.stop());
  const kubectl = createKubectl({ kubeconfig: files.kubeconfigs.admin, home: directory });
  if (controllers) {
    const manager = await startControllers(directory, files.kubeconfigs.controllers, async () =>
      (await kubectl(['get', 'serviceaccount', 'default', '-o', 'name'])).includes('default'),
    );
    undo.defer(() => manager.stop());
  }

  const parts = undo.move();
  return {
    directory,
    server,
    kubeconfig: files.kubeconfigs.admin,
    kubectl,
    addresses: addresses.list,
    async accountConfig(namespace, name) {
      const token = (await kubectl(['create', 'token', name, '-n', namespace])).trim();
      const file = join(directory, `account-${namespace}-${name}.yaml`);
      return writeKubeconfig({ file, server, ca: join(directory, 'ca.crt'), token });
    },
    audit: () => readAudit(join(directory, 'audit.log')),
    async killApiServer() {
      if (apiServer) process.kill(apiServer.pid, 'SIGKILL');
      while (apiServer?.running()) await new Promise((resolve) => setTimeout(resolve, 20));
    },
    stopApiServer: async () => apiServer?.stop(),
    startApiServer,
    stop: () => parts.disposeAsync(),
  };
}

function writeFiles(directory: string, server: string) {
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text, { mode: 0o600 });
  const authority = createAuthority({ commonName: 'podmirror test cluster', days: 2 });
  const serving = issueLeaf(authority, {
    commonName: 'kube-apiserver',
    dnsNames: ['localhost', 'kubernetes.default.svc'],
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
    days: 1,
  });
  const accounts = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  write('ca.crt', authority.cert);
  write('apiserver.crt', serving.cert);
  write('apiserver.key', serving.key);
  write('sa.key', accounts.privateKey.export({ type: 'sec1', format: 'pem' }) as string);
  write('sa.pub', accounts.publicKey.export({ type: 'spki', format: 'pem' }) as string);
  write('audit-policy.yaml', stringify(AUDIT_POLICY));

  const tokens = { admin: randomBytes(16).toString('hex'), controllers: randomBytes(16).toString('hex') };
  write(
    'tokens.csv',
    `${tokens.admin},admin,admin,"system:masters"\n` +
      `${tokens.controllers},system:kube-controller-manager,controllers,\n`,
  );
  const config = (name: string, token: string) =>
    writeKubeconfig({ file: join(directory, `${name}.yaml`), server, ca: join(directory, 'ca.crt'), token });
  return {
    caPem: authority.cert,
    tokens,
    kubeconfigs: {
      admin: config('admin', tokens.admin),
      controllers: config('controllers', tokens.controllers),
    },
  };
}

function startEtcd(directory: string, port: number, peerPort: number): Promise<Service> {
  const url = `http://127.0.0.1:${port}`;
  const flags = {
    'data-dir': join(directory, 'etcd'),
    'listen-client-urls': url,
    'advertise-client-urls': url,
    'listen-peer-urls': `http://127.0.0.1:${peerPort}`,
    'initial-advertise-peer-urls': `http://127.0.0.1:${peerPort}`,
    'initial-cluster': `default=http://127.0.0.1:${peerPort}`,
    // The data live as long as the test.
    'unsafe-no-fsync': 'true',
    'log-level': 'warn',
  };
  return startService({
    name: 'etcd',
    args: [kubeProgram('etcd'), ...flagsOf(flags)],
    ready: async () => (await fetch(`${url}/health`)).ok,
    readyTimeoutMs: READY_MS,
  });
}

interface ApiOptions {
  directory: string;
  /** Advertised; it listens on loopback. */
  address: string;
  port: number;
  etcdPort: number;
  ca: string;
  token: string;
}

function startApi({ directory, address, port, etcdPort, ca, token }: ApiOptions): Promise<Service> {
  const file = (name: string) => join(directory, name);
  mkdirSync(file('certificates'), { recursive: true });
  const flags = {
    'bind-address': '127.0.0.1',
    'advertise-address': address,
    'secure-port': String(port),
    'etcd-servers': `http://127.0.0.1:${etcdPort}`,
    'cert-dir': file('certificates'),
    'tls-cert-file': file('apiserver.crt'),
    'tls-private-key-file': file('apiserver.key'),
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': file('sa.pub'),
    'service-account-signing-key-file': file('sa.key'),
    'service-cluster-ip-range': '10.96.0.0/16',
    'token-auth-file': file('tokens.csv'),
    'authorization-mode': 'Node,RBAC',
    'audit-policy-file': file('audit-policy.yaml'),
    'audit-log-path': file('audit.log'),
    // There is no service network: a webhook's Service is reached by its endpoints.
    'enable-aggregator-routing': 'true',
    'allow-privileged': 'true',
    // One client makes thousands of objects here.
    'max-requests-inflight': '2000',
    'max-mutating-requests-inflight': '1000',
  };
  return startService({
    name: 'kube-apiserver',
    args: [kubeProgram('kube-apiserver'), ...flagsOf(flags)],
    ready: () => isReady({ port, ca, token }),
    readyTimeoutMs: READY_MS,
  });
}

function startControllers(directory: string, kubeconfig: string, ready: () => Promise<boolean>) {
  const flags = {
    kubeconfig,
    'authentication-kubeconfig': kubeconfig,
    'authorization-kubeconfig': kubeconfig,
    'bind-address': '127.0.0.1',
    'secure-port': '0',
    'leader-elect': 'false',
    'kube-api-qps': '500',
    'kube-api-burst': '1000',
    'use-service-account-credentials': 'true',
    'service-account-private-key-file': join(directory, 'sa.key'),
    'root-ca-file': join(directory, 'ca.crt'),
    // No node runs anything here; what it binds by hand stays.
    controllers: '*,-node-lifecycle-controller,-taint-eviction-controller,-pod-garbage-collector-controller',
  };
  return startService({
    name: 'kube-controller-manager',
    args: [kubeProgram('kube-controller-manager'), ...flagsOf(flags)],
    ready,
    readyTimeoutMs: READY_MS,
  });
}

const flagsOf = (flags: Record<string, string>) =>
  Object.entries(flags).map(([name, value]) => `--${name}=${value}`);

function isReady({ port, ca, token }: { port: number; ca: string; token: string }): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${token}` };
    const ask = request({ host: '127.0.0.1', port, path: '/readyz', ca, headers }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ask.on('error', () => resolve(false)).end();
  });
}
