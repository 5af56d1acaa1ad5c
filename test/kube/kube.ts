/** A real etcd, kube-apiserver and kube-controller-manager, on loopback or for nodes, with RBAC and an audit log. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from '../harness/free-port.ts';
import type { Service } from '../harness/service.ts';
import { addAddresses } from './address.ts';
import { AUDIT_POLICY, type AuditedRequest, readAudit } from './audit.ts';
import { startApiServer, startControllers, startEtcd, startScheduler } from './control-plane.ts';
import { type Credentials, KUBELET_CLIENT, writeCredentials } from './credentials.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { createKubectl, type Kubectl } from './kubectl.ts';
import type { KubeNetwork } from './network.ts';

export interface Kube {
  directory: string;
  /** https://<address>:<port> */
  server: string;
  /** Of a member of system:masters. */
  kubeconfig: string;
  credentials: Credentials;
  kubectl: Kubectl;
  /** Of this cluster alone, for what stands behind its Services; none when it has nodes. */
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
  /** With nodes there is a scheduler, too. Without: loopback. */
  network?: KubeNetwork;
  /** Data, logs and credentials; without: one that goes with `stop`. */
  directory?: string;
  /** A cgroup2 directory for all that is started. */
  cgroup?: string;
}

export async function startKube(options: KubeOptions = {}): Promise<Kube> {
  const { controllers = true, cgroup } = options;
  await using undo = new AsyncDisposableStack();
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'podmirror-kube-'));
  if (options.directory) mkdirSync(directory, { recursive: true });
  else undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  const addresses = options.network ? undefined : addAddresses(2);
  undo.defer(() => addresses?.remove());
  const network = options.network ?? (await onLoopback(addresses?.list[0] ?? ''));
  const server = `https://${network.address}:${network.port}`;
  const credentials = writeCredentials({ directory, server, network });
  writeFileSync(join(directory, 'audit-policy.yaml'), stringify(AUDIT_POLICY));

  const place = { directory, cgroup };
  const etcd = await startEtcd(place);
  undo.defer(() => etcd.stop());
  let apiServer: Service | undefined;
  const start = async () => {
    apiServer = await startApiServer({ ...place, etcdUrl: etcd.url, network, credentials });
  };
  await start();
  undo.defer(async () => apiServer?.stop());
  const kubectl = createKubectl({ kubeconfig: credentials.kubeconfigs.admin, home: directory });
  const hasNodes = network.nodes.length > 0;
  if (hasNodes) {
    const scheduler = await startScheduler({ ...place, credentials });
    undo.defer(() => scheduler.stop());
    await grantKubelets(kubectl);
  }
  if (controllers) {
    const ready = async () =>
      (await kubectl(['get', 'serviceaccount', 'default', '-o', 'name'])).includes('default');
    const manager = await startControllers({ ...place, credentials, nodes: hasNodes, ready });
    undo.defer(() => manager.stop());
  }

  const parts = undo.move();
  return {
    directory,
    server,
    kubeconfig: credentials.kubeconfigs.admin,
    credentials,
    kubectl,
    addresses: addresses?.list ?? [],
    async accountConfig(namespace, name) {
      const token = (await kubectl(['create', 'token', name, '-n', namespace])).trim();
      const file = join(directory, `account-${namespace}-${name}.yaml`);
      return writeKubeconfig({ file, server, ca: credentials.caFile, token });
    },
    audit: () => readAudit(join(directory, 'audit.log')),
    async killApiServer() {
      if (apiServer) process.kill(apiServer.pid, 'SIGKILL');
      while (apiServer?.running()) await new Promise((resolve) => setTimeout(resolve, 20));
    },
    stopApiServer: async () => apiServer?.stop(),
    startApiServer: start,
    stop: () => parts.disposeAsync(),
  };
}

const onLoopback = async (advertised: string): Promise<KubeNetwork> => ({
  address: '127.0.0.1',
  advertised,
  port: await freePort(),
  serviceRange: '10.96.0.0/16',
  serviceAddress: '10.96.0.1',
  nodes: [],
});

/** So that logs, exec and port-forward work. */
async function grantKubelets(kubectl: Kubectl): Promise<void> {
  const role = ['--clusterrole=system:kubelet-api-admin', `--user=${KUBELET_CLIENT}`];
  await kubectl(['create', 'clusterrolebinding', 'test:kube-apiserver-to-kubelets', ...role]);
}
