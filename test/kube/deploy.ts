/** manifests/base as it stands, in a test's API server; what would be its pods' containers are processes of ours. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../harness/free-port.ts';
import { type Service, startService } from '../harness/service.ts';
import { until } from '../harness/until.ts';
import { startCertManager } from './cert-manager.ts';
import { watchDeletions } from './deletions.ts';
import type { Kube } from './kube.ts';
import { writeSecret } from './mounted-secret.ts';
import type { Pod } from './pod.ts';
import { createReplica, type Replica, type StartOptions } from './replica.ts';

export interface Podmirror {
  /** Of the Deployment; none runs yet. */
  replicas: Replica[];
  start(index: number, options?: StartOptions): Promise<void>;
  kill(index: number): Promise<void>;
  /** Ends it as when its pod is deleted, and starts it again. */
  restart(index: number, options?: StartOptions): Promise<void>;
  signal(index: number, signal: NodeJS.Signals): void;
  fingerprint(index: number): Promise<string>;
  /** One more process with the same rights, in no Service. */
  startApart(options: { kubeconfig: string }): Promise<Service & { opsUrl: string }>;
  /** tls.crt, tls.key and ca.crt, which all replicas read. */
  tlsFolder: string;
  /** Copies the Secret to the folder again, as a kubelet does about once a minute. */
  syncCertificates(): Promise<void>;
  /** Ends what runs here. What was applied stays. */
  stop(): Promise<void>;
}

export const BASE = fileURLToPath(new URL('../../manifests/base', import.meta.url));

const NAMESPACE = 'podmirror';
const ACCOUNT = 'podmirror-webhook';
const MAIN = 'webhook/main.ts';
const TLS_SECRET = 'podmirror-webhook-tls';

// Each takes a second or two when nothing else runs.
const EACH_STEP_MS = 60_000;

export async function deployPodmirror(kube: Kube): Promise<Podmirror> {
  const { kubectl } = kube;
  await using undo = new AsyncDisposableStack();
  undo.defer(await startCertManager(kube));
  await kubectl(['apply', '-k', BASE]);
  await waitFor('the certificate', () => isCertificateReady(kube));

  const tlsFolder = mkdtempSync(join(kube.directory, 'tls-'));
  undo.defer(() => rmSync(tlsFolder, { recursive: true, force: true }));
  const syncCertificates = async () => {
    const data = await secretOf(kube);
    if (data) writeSecret(tlsFolder, data);
  };
  await syncCertificates();
  await waitFor('cainjector', () => isInjected(kube, readFileSync(join(tlsFolder, 'ca.crt'))));

  const args = async (kubeconfig: string) => [
    `--kubeconfig=${kubeconfig}`,
    `--cert-file=${join(tlsFolder, 'tls.crt')}`,
    `--key-file=${join(tlsFolder, 'tls.key')}`,
    `--ca-file=${join(tlsFolder, 'ca.crt')}`,
  ];
  const replicas: Replica[] = [];
  for (const [index, pod] of (await waitFor('the pods', () => podsOf(kube))).entries()) {
    const address = kube.addresses[index];
    if (address === undefined) break;
    const replica = await createReplica({
      kubectl,
      pod,
      address,
      main: MAIN,
      args: async () => [`--host=${address}`, ...(await args(await kube.accountConfig(NAMESPACE, ACCOUNT)))],
    });
    undo.defer(() => replica.leave());
    replicas.push(replica);
  }
  undo.defer(
    await watchDeletions({
      kubeconfig: kube.kubeconfig,
      namespace: NAMESPACE,
      onDeletion(podName) {
        const replica = replicas.find((one) => one.podName === podName);
        // It fails only when the API server is away, and then nothing waits for the pod to go.
        replica?.retire().catch(() => {});
      },
    }),
  );
  const at = (index: number): Replica => {
    const replica = replicas[index];
    if (!replica) throw new Error(`there is no replica ${index}`);
    return replica;
  };

  const parts = undo.move();
  return {
    replicas,
    tlsFolder,
    syncCertificates,
    start: (index, options) => at(index).start(options),
    kill: (index) => at(index).kill(),
    async restart(index, options) {
      await at(index).stop();
      await at(index).start(options);
    },
    signal: (index, signal) => at(index).signal(signal),
    fingerprint: (index) => at(index).fingerprint(),
    async startApart({ kubeconfig }) {
      const [port, healthPort, opsPort] = [await freePort(), await freePort(), await freePort()];
      const [host, ports] = ['127.0.0.1', { port, 'health-port': healthPort, 'ops-port': opsPort }];
      const service = await startService({
        name: 'a webhook apart',
        args: [
          MAIN,
          `--host=${host}`,
          `--namespace=${NAMESPACE}`,
          '--drain-seconds=0',
          ...Object.entries(ports).map(([name, number]) => `--${name}=${number}`),
          ...(await args(kubeconfig)),
        ],
        env: { POD_NAME: 'apart' },
        ready: async () => (await fetch(`http://${host}:${healthPort}/ready`)).ok,
        readyTimeoutMs: EACH_STEP_MS,
      });
      return { ...service, opsUrl: `http://${host}:${opsPort}` };
    },
    stop: () => parts.disposeAsync(),
  };
}

async function waitFor<T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T> {
  const answer = await until(ask, { timeoutMs: EACH_STEP_MS, everyMs: 100 });
  if (!answer) throw new Error(`deploy podmirror: ${what} is not there after ${EACH_STEP_MS} ms`);
  return answer;
}

async function isCertificateReady({ kubectl }: Kube): Promise<boolean> {
  const path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
  return (await kubectl(['get', 'certificate', ACCOUNT, '-n', NAMESPACE, '-o', path])) === 'True';
}

/** undefined: it is not there, or not complete. */
async function secretOf({ kubectl }: Kube): Promise<Record<string, Buffer> | undefined> {
  const text = await kubectl([
    'get',
    'secret',
    TLS_SECRET,
    '-n',
    NAMESPACE,
    '-o',
    'json',
    '--ignore-not-found',
  ]);
  const { data = {} } = JSON.parse(text || '{}') as { data?: Record<string, string> };
  if (!data['tls.crt'] || !data['tls.key'] || !data['ca.crt']) return undefined;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64')]));
}

interface WebhookConfigurations {
  items: { metadata: { name: string }; webhooks: { clientConfig: { caBundle?: string } }[] }[];
}

async function isInjected({ kubectl }: Kube, ca: Buffer): Promise<boolean> {
  const kinds = 'mutatingwebhookconfigurations,validatingwebhookconfigurations';
  const { items } = JSON.parse(await kubectl(['get', kinds, '-o', 'json'])) as WebhookConfigurations;
  const ours = items.filter(({ metadata }) => metadata.name === ACCOUNT).flatMap(({ webhooks }) => webhooks);
  return ours.length > 0 && ours.every(({ clientConfig }) => clientConfig.caBundle === ca.toString('base64'));
}

/** undefined: not all of them have been made yet. */
async function podsOf({ kubectl }: Kube): Promise<Pod[] | undefined> {
  const deployment = JSON.parse(
    await kubectl(['get', 'deployment', 'podmirror-webhook', '-n', NAMESPACE, '-o', 'json']),
  ) as { spec: { replicas: number; selector: { matchLabels: Record<string, string> } } };
  const { replicas, selector } = deployment.spec;
  const labels = Object.entries(selector.matchLabels).map((pair) => pair.join('='));
  const { items } = JSON.parse(
    await kubectl(['get', 'pods', '-n', NAMESPACE, '-l', labels.join(','), '-o', 'json']),
  ) as { items: Pod[] };
  return items.length === replicas ? items : undefined;
}
