/** Without cert-manager: manifests/overlays/self-signed in a real API server, which calls two replicas by the CA that they made. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { until } from '../harness/until.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import type { Pod } from '../kube/pod.ts';
import { createReplica, type Replica } from '../kube/replica.ts';

const overlay = fileURLToPath(new URL('../../manifests/overlays/self-signed', import.meta.url));
const namespace = 'podmirror';
const account = 'podmirror-webhook';
// Longer than two looks of a replica, so that each step of a rotation is seen by both.
const spreadSeconds = 25;
const certificates = [
  'podmirror-own-ca',
  'podmirror-webhook-tls',
  'podmirror-processor-tls',
  'podmirror-agent-tls',
];

let kube: Kube;
const replicas: Replica[] = [];

test.before(async () => {
  kube = await startKube();
  await kube.kubectl(['apply', '-k', overlay]);
  const pods = await wait('pods of the webhook', podsOfWebhook);
  for (const [index, pod] of pods.entries()) {
    const address = kube.addresses[index] ?? '';
    const args = async () => [
      `--host=${address}`,
      `--kubeconfig=${await kube.accountConfig(namespace, account)}`,
      `--ca-spread-seconds=${spreadSeconds}`,
    ];
    replicas.push(
      await createReplica({ kubectl: kube.kubectl, pod, address, main: 'webhook/main.ts', args }),
    );
  }
});
test.after.always(async () => {
  await Promise.all(replicas.map((replica) => replica.leave()));
  await kube?.stop();
});

async function wait<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const found = await until(ask, { timeoutMs: 180_000, everyMs: 200 });
  if (found === undefined || found === false) throw new Error(`${what}: not there in three minutes`);
  return found;
}

async function podsOfWebhook(): Promise<Pod[] | undefined> {
  const labels = 'app.kubernetes.io/component=webhook';
  const { items } = JSON.parse(
    await kube.kubectl(['get', 'pods', '-n', namespace, '-l', labels, '-o', 'json']),
  );
  return items.length === 2 ? items : undefined;
}

/** PEM by the Secret's name; undefined as long as one is missing. */
async function read(key: string): Promise<Record<string, string> | undefined> {
  const { items } = JSON.parse(await kube.kubectl(['get', 'secrets', '-n', namespace, '-o', 'json'])) as {
    items: { metadata: { name: string }; data: Record<string, string> }[];
  };
  const found = items.filter(({ metadata }) => certificates.includes(metadata.name));
  if (found.length < certificates.length) return undefined;
  const text = (data: Record<string, string>) => Buffer.from(data[key] ?? '', 'base64').toString();
  return Object.fromEntries(found.map(({ metadata, data }) => [metadata.name, text(data)]));
}

async function caBundles(): Promise<string[]> {
  const kinds = 'mutatingwebhookconfigurations,validatingwebhookconfigurations';
  const { items } = JSON.parse(await kube.kubectl(['get', kinds, '-o', 'json'])) as {
    items: { webhooks: { clientConfig: { caBundle?: string } }[] }[];
  };
  return items.flatMap(({ webhooks }) =>
    webhooks.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString()),
  );
}

const countOf = (bundle: string) => bundle.match(/BEGIN CERTIFICATE/g)?.length ?? 0;

/** One bundle everywhere, of so many CAs. */
async function agreed(authorities: number): Promise<string | undefined> {
  const bundles = Object.values((await read('ca.crt')) ?? {});
  const [bundle = ''] = bundles;
  const all = [...bundles, ...(await caBundles())];
  return bundles.length > 0 && countOf(bundle) === authorities && all.every((one) => one === bundle)
    ? bundle
    : undefined;
}

/** The API server asks a replica, and refuses when it cannot (failurePolicy: Fail). */
const setFilters = (yaml: string) =>
  kube.kubectl([
    ...['patch', 'configmap', 'podmirror-filters', '-n', namespace, '--dry-run=server', '--type=merge'],
    ...['-p', JSON.stringify({ data: { 'filters.yaml': yaml } })],
  ]);

test.serial(
  'two replicas that start at once become ready, and the API server trusts what they serve',
  async (t) => {
    const beganAt = performance.now();
    await Promise.all(replicas.map((replica) => replica.start()));
    t.log(`ready after ${Math.round(performance.now() - beganAt)} ms`);
    await wait('one CA', () => agreed(1));
    await setFilters('filters: []');
    await t.throwsAsync(setFilters('filters: [{namespace: "a{"}]'), {
      message: /podmirror-filters|filters\.yaml/,
    });
  },
);

test.serial(
  'the CA is rotated twice: no admission fails, both replicas serve what it signed, the older one is forgotten',
  async (t) => {
    const failures: string[] = [];
    let count = 0;
    const done = new AbortController();
    const admitting = (async () => {
      for (; !done.signal.aborted; count += 1) {
        await setFilters(`# ${count}\nfilters: []`).catch((error: Error) => failures.push(error.message));
        await sleep(100);
      }
    })();
    try {
      for (const rotation of [1, 2]) {
        const before = await Promise.all(replicas.map((replica) => replica.fingerprint()));
        const old = await wait('one CA', () => agreed(1));
        await kube.kubectl(['delete', 'secret', 'podmirror-own-ca', '-n', namespace]);
        const both = await wait('both CAs', () => agreed(2));
        t.true(both.includes(old), `rotation ${rotation}`);
        for (const [index, replica] of replicas.entries()) {
          await wait(`a new certificate of replica ${index}`, async () =>
            (await replica.fingerprint()) === before[index] ? undefined : true,
          );
        }
        const next = await wait('the new CA alone', () => agreed(1));
        t.not(next, old);
      }
    } finally {
      done.abort();
      await admitting;
    }
    t.log(`${count} admissions`);
    t.true(count > 100);
    t.deepEqual(failures, []);
  },
);

test.serial(
  'a deleted certificate comes back, a spoiled one is replaced, and a replica that starts then serves',
  async (t) => {
    const ca = await wait('one CA', () => agreed(1));
    await kube.kubectl(['delete', 'secret', 'podmirror-webhook-tls', '-n', namespace]);
    await kube.kubectl([
      ...['patch', 'secret', 'podmirror-agent-tls', '-n', namespace, '--type=merge'],
      ...['-p', JSON.stringify({ data: { 'tls.crt': Buffer.from('x').toString('base64') } })],
    ]);
    await wait('all Secrets', async () => {
      const found = await read('tls.crt');
      return found && Object.values(found).every((pem) => countOf(pem) === 1) ? found : undefined;
    });
    t.is(await wait('one CA', () => agreed(1)), ca);
    await replicas[0]?.stop();
    await setFilters('filters: []');
    await replicas[0]?.start();
    await setFilters('filters: []');
  },
);

test.serial('the rights in the manifest are those that it takes', (t) => {
  const asked = kube.audit();
  t.deepEqual(
    asked.filter(({ status }) => status === 403),
    [],
  );
  const verbs = new Set(asked.filter(({ resource }) => resource === 'secrets').map(({ verb }) => verb));
  t.deepEqual([...verbs].sort(), ['create', 'get', 'update']);
});
