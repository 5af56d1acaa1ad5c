/** The webhook's process without admission: nothing calls it, and it keeps the intent. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, issueLeaf } from '../../certs/authority.ts';
import { freePort } from '../harness/free-port.ts';
import { type Service, startService } from '../harness/service.ts';
import type { Kube } from './kube.ts';

export async function startIntentController(
  kube: Pick<Kube, 'directory' | 'kubeconfig'>,
  namespace: string,
): Promise<Service> {
  const authority = createAuthority({ commonName: 'test CA', days: 1 });
  const leaf = issueLeaf(authority, {
    commonName: 'webhook',
    dnsNames: ['webhook'],
    usages: ['server'],
    days: 1,
  });
  const file = (name: string, text: string) => {
    const path = join(kube.directory, `webhook-${name}`);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const [port, health, ops] = [await freePort(), await freePort(), await freePort()];
  return startService({
    name: 'webhook',
    args: [
      'webhook/main.ts',
      `--namespace=${namespace}`,
      `--kubeconfig=${kube.kubeconfig}`,
      '--host=127.0.0.1',
      `--port=${port}`,
      `--health-port=${health}`,
      `--ops-port=${ops}`,
      '--drain-seconds=0',
      `--cert-file=${file('tls.crt', leaf.cert)}`,
      `--key-file=${file('tls.key', leaf.key)}`,
      `--ca-file=${file('ca.crt', authority.cert)}`,
    ],
    env: { POD_NAME: 'controller' },
    ready: async () => (await fetch(`http://127.0.0.1:${health}/ready`)).ok,
    readyTimeoutMs: 60_000,
  });
}
