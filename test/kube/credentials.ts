/** The certificates, tokens and kubeconfigs of a test's cluster. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, issueLeaf } from '../../certs/authority.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import type { KubeNetwork } from './network.ts';

export interface Credentials {
  /** PEM of the CA that signed every server here. */
  ca: string;
  /** Path of the same. */
  caFile: string;
  adminToken: string;
  /** Paths. */
  kubeconfigs: { admin: string; controllers: string; scheduler: string; proxy: string };
  /** Of a node in `network.nodes`: what its kubelet needs. */
  node(name: string): NodeCredentials;
}

export interface NodeCredentials {
  kubeconfig: string;
  certFile: string;
  keyFile: string;
}

export interface CredentialsOptions {
  directory: string;
  server: string;
  network: KubeNetwork;
}

// The groups are what RBAC's own bindings are for; the others are bound by their names.
const USERS = {
  admin: { user: 'admin', groups: 'system:masters' },
  controllers: { user: 'system:kube-controller-manager', groups: '' },
  scheduler: { user: 'system:kube-scheduler', groups: '' },
  proxy: { user: 'system:kube-proxy', groups: '' },
};

/** What the API server is as a client of kubelets; RBAC must grant it `system:kubelet-api-admin`. */
export const KUBELET_CLIENT = 'kube-apiserver-kubelet-client';

/** The front proxy's client certificate carries it. */
export const FRONT_PROXY = 'front-proxy-client';

export function writeCredentials({ directory, server, network }: CredentialsOptions): Credentials {
  const write = (name: string, text: string) => {
    const file = join(directory, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const writePair = (name: string, { cert, key }: { cert: string; key: string }) => ({
    certFile: write(`${name}.crt`, cert),
    keyFile: write(`${name}.key`, key),
  });
  const days = 30;
  const authority = createAuthority({ commonName: 'podmirror test cluster', days });
  const { certFile: caFile } = writePair('ca', authority);
  const service = 'kubernetes.default.svc';
  writePair(
    'apiserver',
    issueLeaf(authority, {
      commonName: 'kube-apiserver',
      dnsNames: ['localhost', 'kubernetes', 'kubernetes.default', service, `${service}.cluster.local`],
      ipAddresses: ['127.0.0.1', network.address, network.serviceAddress],
      usages: ['server'],
      days,
    }),
  );
  writePair('kubelet-client', issueLeaf(authority, { commonName: KUBELET_CLIENT, usages: ['client'], days }));
  // Of its own: whoever has a certificate from this one is believed about who it speaks for.
  const front = createAuthority({ commonName: 'podmirror test front proxy', days });
  write('front-ca.crt', front.cert);
  writePair('front-client', issueLeaf(front, { commonName: FRONT_PROXY, usages: ['client'], days }));
  const accounts = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  write('sa.key', accounts.privateKey.export({ type: 'sec1', format: 'pem' }) as string);
  write('sa.pub', accounts.publicKey.export({ type: 'spki', format: 'pem' }) as string);

  const tokens: string[] = [];
  const enroll = (name: string, user: string, groups: string) => {
    const token = randomBytes(16).toString('hex');
    tokens.push(`${token},${user},${name},"${groups}"\n`);
    const kubeconfig = writeKubeconfig({ file: join(directory, `${name}.yaml`), server, ca: caFile, token });
    return { token, kubeconfig };
  };
  const account = (name: keyof typeof USERS) => enroll(name, USERS[name].user, USERS[name].groups);
  const admin = account('admin');
  const nodes = new Map<string, NodeCredentials>();
  for (const { name, address } of network.nodes) {
    const leaf = { commonName: `system:node:${name}`, dnsNames: [name], ipAddresses: [address], days };
    nodes.set(name, {
      kubeconfig: enroll(`node-${name}`, `system:node:${name}`, 'system:nodes').kubeconfig,
      ...writePair(`node-${name}`, issueLeaf(authority, { ...leaf, usages: ['server'] })),
    });
  }
  const kubeconfigs = {
    admin: admin.kubeconfig,
    controllers: account('controllers').kubeconfig,
    scheduler: account('scheduler').kubeconfig,
    proxy: account('proxy').kubeconfig,
  };
  write('tokens.csv', tokens.join(''));
  return {
    ca: authority.cert,
    caFile,
    adminToken: admin.token,
    kubeconfigs,
    node(name) {
      const credentials = nodes.get(name);
      if (!credentials) throw new Error(`credentials of node ${name}: it is not in the cluster's network`);
      return credentials;
    },
  };
}
