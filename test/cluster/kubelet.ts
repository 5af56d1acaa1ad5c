/** The kubelet in a node. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Service, startService } from '../harness/service.ts';
import type { Kube } from '../kube/kube.ts';
import { kubeProgram } from '../kube/programs.ts';
import { type CgroupDriver, cgroupRoot } from './cgroup-driver.ts';
import type { Instance } from './instance.ts';
import type { Machine } from './machine.ts';
import { nodeEnvironment } from './programs.ts';
import type { Runtime } from './runtime.ts';

export interface KubeletOptions {
  machine: Machine;
  instance: Instance;
  kube: Kube;
  runtime: Pick<Runtime, 'endpoint'>;
  /** Default: cgroupfs. */
  cgroupDriver?: CgroupDriver;
}

export function startKubelet({
  machine,
  instance,
  kube,
  runtime,
  cgroupDriver = 'cgroupfs',
}: KubeletOptions): Promise<Service> {
  const { node } = instance;
  const { kubeconfig, certFile, keyFile } = kube.credentials.node(node.name);
  const config = join(machine.directory, 'kubelet.yaml');
  const configuration = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: node.address,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: kube.credentials.caFile },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: certFile,
    tlsPrivateKeyFile: keyFile,
    containerRuntimeEndpoint: runtime.endpoint,
    cgroupDriver,
    cgroupRoot: cgroupRoot(cgroupDriver, instance),
    failCgroupV1: false,
    failSwapOn: false,
    makeIPTablesUtilChains: false,
    // Lowering its score takes CAP_SYS_RESOURCE, which not every virtual machine gives.
    oomScoreAdj: 0,
    clusterDomain: 'cluster.local',
    clusterDNS: [instance.dnsAddress],
    resolvConf: join(machine.directory, 'resolv.conf'),
    // /usr is this machine's.
    volumePluginDir: '/var/lib/kubelet/volume-plugins',
    // A full disk is this machine's, not the node's.
    evictionHard: { 'memory.available': '100Mi' },
    imageGCHighThresholdPercent: 100,
    // A test that changes a ConfigMap or a Secret waits for its file.
    syncFrequency: '5s',
  };
  writeFileSync(config, stringify(configuration));
  const flags = [`--config=${config}`, `--kubeconfig=${kubeconfig}`];
  return startService({
    name: 'kubelet',
    args: machine.inside([
      kubeProgram('kubelet'),
      ...flags,
      `--hostname-override=${node.name}`,
      `--node-ip=${node.address}`,
    ]),
    env: nodeEnvironment(),
    logFile: join(instance.directory, 'kubelet.log'),
    ready: async () => (await kube.kubectl(['get', 'node', node.name, '-o', `jsonpath=${READY}`])) === 'True',
    readyTimeoutMs: READY_MS,
  });
}

// In an emulated machine it takes its time.
const READY_MS = 240_000;
const READY = '{.status.conditions[?(@.type=="Ready")].status}';
