/** kube-proxy in a node: Services, by nftables. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Service, startService } from '../harness/service.ts';
import type { Kube } from '../kube/kube.ts';
import { kubeProgram } from '../kube/programs.ts';
import type { Instance } from './instance.ts';
import type { Machine } from './machine.ts';
import { nodeEnvironment } from './programs.ts';

export interface KubeProxyOptions {
  machine: Machine;
  instance: Instance;
  kube: Kube;
}

export function startKubeProxy({ machine, instance, kube }: KubeProxyOptions): Promise<Service> {
  const config = join(machine.directory, 'kube-proxy.yaml');
  const configuration = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    hostnameOverride: instance.node.name,
    clusterCIDR: instance.podRange,
    oomScoreAdj: 0,
    bindAddress: instance.node.address,
    healthzBindAddress: '127.0.0.1:10256',
    metricsBindAddress: '127.0.0.1:10249',
    clientConnection: { kubeconfig: kube.credentials.kubeconfigs.proxy },
    // Limits of connection tracking are this machine's.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  };
  writeFileSync(config, stringify(configuration));
  return startService({
    name: 'kube-proxy',
    args: machine.inside([kubeProgram('kube-proxy'), `--config=${config}`]),
    env: nodeEnvironment(),
    logFile: join(instance.directory, 'kube-proxy.log'),
    // Whoever connects to a Service sees whether it works.
    ready: async () => true,
  });
}
