/** Who makes the certificates is changed by `helm upgrade`, in a real API server with cert-manager. */
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { createAuthority, issueLeaf } from '../../certs/authority.ts';
import { until } from '../harness/until.ts';
import { startCertManager } from '../kube/cert-manager.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import type { Pod } from '../kube/pod.ts';
import { createReplica, type Replica } from '../kube/replica.ts';
import { releaseIn } from '../manifests/release.ts';

const namespace = 'podmirror';
const units = ['webhook', 'processor', 'agent'] as const;
const workloads = {
  webhook: 'deployment/podmirror-webhook',
  processor: 'deployment/podmirror-processor',
  agent: 'daemonset/podmirror-agent',
};
const ownSecrets = units.map((unit) => `podmirror-${unit}-tls`);

let kube: Kube;
let stopCertManager: () => Promise<void>;
let replica: Replica | undefined;

test.before(async () => {
  kube = await startKube();
  stopCertManager = await startCertManager(kube);
});
test.after.always(async () => {
  await replica?.leave();
  await stopCertManager?.();
  await kube?.stop();
});

const kubectl = (args: string[], input?: string) => kube.kubectl([...args, '-n', namespace], input);

async function wait<T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T> {
  const found = await until(ask, { timeoutMs: 120_000, everyMs: 200 });
  if (found === undefined || found === false) throw new Error(`${what}: not there in two minutes`);
  return found;
}

const mode = (name: string, more: readonly string[] = []) => [`--set=certificates.mode=${name}`, ...more];

/** Key of a Secret as text; undefined: there is no such Secret. */
async function read(secret: string, key: string): Promise<string | undefined> {
  const path = `jsonpath={.data.${key.replaceAll('.', '\\.')}}`;
  const { code, stdout } = await kube.kubectl.attempt(['get', 'secret', secret, '-n', namespace, '-o', path]);
  return code === 0 ? Buffer.from(stdout, 'base64').toString() : undefined;
}

/** Whether the CA (PEM) has issued what is in each of these Secrets. */
async function haveIssued(ca: string, secrets: readonly string[]): Promise<boolean> {
  const issuer = new X509Certificate(ca);
  const leaves = await Promise.all(secrets.map((secret) => read(secret, 'tls.crt')));
  return leaves.every((leaf) => leaf && new X509Certificate(leaf).verify(issuer.publicKey));
}

interface Configurations {
  items: {
    metadata: { annotations?: Record<string, string> };
    webhooks: { clientConfig: { caBundle?: string } }[];
  }[];
}

async function configurations() {
  const kinds = 'mutatingwebhookconfigurations,validatingwebhookconfigurations';
  const { items } = JSON.parse(await kube.kubectl(['get', kinds, '-o', 'json'])) as Configurations;
  const ours = items.filter(({ webhooks }) => JSON.stringify(webhooks).includes('podmirror'));
  return {
    bundles: ours.flatMap(({ webhooks }) =>
      webhooks.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString()),
    ),
    injectors: ours.flatMap(({ metadata }) =>
      Object.keys(metadata.annotations ?? {}).filter((key) => key.startsWith('cert-manager.io/')),
    ),
  };
}

const trustsOnly = async (ca: string) => {
  const { bundles } = await configurations();
  return bundles.length === 5 && bundles.every((bundle) => bundle.trim() === ca.trim());
};

/** Maybe beside others: cainjector adds its CA to what it finds, and lets a CA go when it has expired. */
const trusts = async (ca: string) => {
  const { bundles } = await configurations();
  return bundles.length === 5 && bundles.every((bundle) => bundle.includes(ca.trim()));
};

/** Of cert-manager's kinds. */
const requested = async () => (await kubectl(['get', 'certificates,issuers', '-o', 'name'])).trim();

interface Volume {
  secret?: { secretName: string };
  projected?: { sources: { secret?: { name: string } }[] };
}

/** Names of Secrets, in the order in which the pods of a unit mount them. */
async function mountedBy(unit: keyof typeof workloads): Promise<string[]> {
  const volumes = await kubectl(['get', workloads[unit], '-o', 'jsonpath={.spec.template.spec.volumes}']);
  return (volumes === '' ? [] : (JSON.parse(volumes) as Volume[])).flatMap(({ secret, projected }) => [
    ...(secret ? [secret.secretName] : []),
    ...(projected?.sources ?? []).flatMap(({ secret }) => (secret ? [secret.name] : [])),
  ]);
}

test.serial(
  "cert-manager's certificates give way to Secrets of yours, and nothing asks for them any more",
  async (t) => {
    t.like(await releaseIn(kube).install(mode('certManager')), { code: 0 });
    await wait("cert-manager's Secrets", async () => {
      const ca = await read('podmirror-ca', 'tls.crt');
      const isWhole = async (pem: string) => (await haveIssued(pem, ownSecrets)) && (await trustsOnly(pem));
      return ca !== undefined && isWhole(ca).catch(() => false);
    });

    const authority = createAuthority({ commonName: 'mine', days: 1 });
    for (const unit of units) {
      const isAgent = unit === 'agent';
      const leaf = issueLeaf(authority, {
        commonName: `podmirror-${unit}`,
        ...(!isAgent && { dnsNames: [`podmirror-${unit}.${namespace}.svc`] }),
        usages: [isAgent ? 'client' : 'server'],
        days: 1,
      });
      const stringData = { 'ca.crt': authority.cert, 'tls.crt': leaf.cert, 'tls.key': leaf.key };
      const metadata = { name: `mine-${unit}` };
      const type = 'kubernetes.io/tls';
      await kubectl(
        ['create', '-f', '-'],
        JSON.stringify({ apiVersion: 'v1', kind: 'Secret', type, metadata, stringData }),
      );
    }
    const caFile = join(kube.directory, 'mine.crt');
    writeFileSync(caFile, authority.cert);
    const given = units.map((unit) => `--set=certificates.existingSecret.${unit}=mine-${unit}`);
    const upgraded = await releaseIn(kube).upgrade(
      mode('existingSecret', [...given, `--set-file=certificates.existingSecret.webhookCA=${caFile}`]),
    );
    t.is(upgraded.code, 0, upgraded.stderr);
    t.true(await trustsOnly(authority.cert));
    t.deepEqual((await configurations()).injectors, []);
    t.is(await requested(), '');
    t.deepEqual(await mountedBy('webhook'), ['mine-webhook']);
    t.deepEqual(await mountedBy('processor'), ['mine-processor', 'mine-agent']);
    t.deepEqual(await mountedBy('agent'), ['mine-agent', 'mine-processor']);
    for (const secret of ownSecrets) t.truthy(await read(secret, 'tls.crt'), 'a way back is left');
  },
);

/** The API server asks the webhook, and refuses when it cannot (failurePolicy: Fail). */
const setFilters = (yaml: string) =>
  kubectl([
    ...['patch', 'configmap', 'podmirror-filters', '--dry-run=server', '--type=merge'],
    ...['-p', JSON.stringify({ data: { 'filters.yaml': yaml } })],
  ]);

async function selfSignedPod(): Promise<Pod | undefined> {
  const labels = 'app.kubernetes.io/component=webhook';
  const { items } = JSON.parse(await kubectl(['get', 'pods', '-l', labels, '-o', 'json'])) as {
    items: Pod[];
  };
  return items.find(({ spec }) => spec.containers[0]?.args?.includes('--self-signed'));
}

test.serial(
  'Secrets of yours give way to the webhook’s own, which takes what cert-manager left and then forgets it',
  async (t) => {
    const upgraded = await releaseIn(kube).upgrade(mode('selfSigned'));
    t.is(upgraded.code, 0, upgraded.stderr);
    t.deepEqual(await mountedBy('webhook'), []);
    t.deepEqual(await mountedBy('processor'), ['podmirror-processor-tls', 'podmirror-agent-tls']);
    const pod = await wait('a pod of the new webhook', selfSignedPod);
    const [address = ''] = kube.addresses;
    const args = async () => [
      `--host=${address}`,
      `--kubeconfig=${await kube.accountConfig(namespace, 'podmirror-webhook')}`,
      '--ca-spread-seconds=15',
    ];
    replica = await createReplica({ kubectl: kube.kubectl, pod, address, main: 'webhook/main.ts', args });
    await replica.start();
    await wait('an answer that is trusted', () =>
      setFilters('filters: []').then(
        () => true,
        () => false,
      ),
    );
    await t.throwsAsync(setFilters('filters: [{namespace: "a{"}]'), {
      message: /filters\.yaml|podmirror-filters/,
    });
    await wait('its own CA alone', async () => {
      const ca = await read('podmirror-own-ca', 'tls.crt');
      return ca !== undefined && (await trustsOnly(ca)) && (await haveIssued(ca, ownSecrets));
    });
    await setFilters('filters: []');
  },
);

test.serial('and the webhook’s own give way to cert-manager’s, which takes its Secrets over', async (t) => {
  await replica?.leave();
  const upgraded = await releaseIn(kube).upgrade(mode('certManager'));
  t.is(upgraded.code, 0, upgraded.stderr);
  await wait("cert-manager's again", async () => {
    const ca = await read('podmirror-ca', 'tls.crt');
    return ca !== undefined && (await trusts(ca)) && (await haveIssued(ca, ownSecrets));
  });
  t.deepEqual(await mountedBy('webhook'), ['podmirror-webhook-tls']);
});
