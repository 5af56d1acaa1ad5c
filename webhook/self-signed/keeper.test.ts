import { X509Certificate } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import { createAuthority, issueLeaf } from '../../certs/authority.ts';
import type { CertificatePair, CertificateSource } from '../../certs/source.ts';
import { createApi } from '../cluster/api.ts';
import type { Clock } from '../cluster/clock.ts';
import { type FakeApiServer, startFakeApiServer } from '../cluster/fake/apiserver.ts';
import { fakeLog } from '../cluster/fake/log.ts';
import { until } from '../cluster/fake/until.ts';
import { keepCertificates, usualTiming } from './keeper.ts';
import { leavesOf } from './leaf.ts';

const secrets = '/api/v1/namespaces/podmirror/secrets';
const configurations = ['mutating', 'validating'].map(
  (kind) => `/apis/admissionregistration.k8s.io/v1/${kind}webhookconfigurations/podmirror-webhook`,
);
const all = ['podmirror-own-ca', 'podmirror-webhook-tls', 'podmirror-processor-tls', 'podmirror-agent-tls'];
const dayMs = 86_400_000;

interface Secret {
  metadata: { resourceVersion: string };
  type?: string;
  data: Record<string, string>;
}

async function start(t: ExecutionContext) {
  const server = await startFakeApiServer();
  t.teardown(() => server.close());
  for (const path of configurations) {
    server.put(path, {
      metadata: { name: 'podmirror-webhook' },
      webhooks: [
        { name: 'a', clientConfig: { service: { name: 'x' } } },
        { name: 'b', clientConfig: {} },
      ],
    });
  }
  return server;
}

/** Sleeps are a hundredth of what they say, so ten seconds between looks are a tenth of one. */
function replica(
  t: ExecutionContext,
  server: FakeApiServer,
  options: { spreadMs?: number; skipMs?: () => number } = {},
) {
  const log = fakeLog();
  const served: CertificatePair[] = [];
  const clock: Clock = {
    now: () => performance.now(),
    random: Math.random,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, ms / 100);
        signal?.addEventListener(
          'abort',
          () => {
            clearTimeout(timer);
            resolve();
          },
          { once: true },
        );
      }),
  };
  const connection = {
    server: new URL(server.url),
    namespace: undefined,
    credentials: async () => ({ headers: {}, agent: undefined }),
    close() {},
  };
  const source: Promise<CertificateSource> = keepCertificates({
    api: createApi({ connection: connection as never }),
    leaves: leavesOf('podmirror'),
    clock,
    wallClock: () => Date.now() + (options.skipMs?.() ?? 0),
    log,
    timing: { ...usualTiming, spreadMs: options.spreadMs ?? 500 },
    onReload: (pair) => served.push(pair),
  });
  t.teardown(async () => (await source).close());
  return { log, served, source };
}

const textOf = (server: FakeApiServer, secret: string, key: string) => {
  const { data } = server.get(`${secrets}/${secret}`) as unknown as Secret;
  return Buffer.from(data[key] ?? '', 'base64').toString();
};
const leafOf = (server: FakeApiServer, secret: string) =>
  new X509Certificate(textOf(server, secret, 'tls.crt'));
const countOf = (bundle: string) => bundle.match(/BEGIN CERTIFICATE/g)?.length ?? 0;

/** All say the same, and each leaf is issued by a CA that is trusted. */
function inOrder(server: FakeApiServer): boolean {
  const bundles = all.map((secret) => server.get(`${secrets}/${secret}`) && textOf(server, secret, 'ca.crt'));
  const [bundle] = bundles;
  if (!bundle || !bundles.every((one) => one === bundle)) return false;
  const caBundles = configurations.flatMap((path) =>
    (server.get(path) as unknown as { webhooks: { clientConfig: { caBundle?: string } }[] }).webhooks.map(
      ({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString(),
    ),
  );
  if (!caBundles.every((one) => one === bundle)) return false;
  const authorities = (bundle.match(/-----BEGIN[\s\S]+?-----END CERTIFICATE-----/g) ?? []).map(
    (pem) => new X509Certificate(pem),
  );
  return all
    .slice(1)
    .every((secret) => authorities.some((ca) => leafOf(server, secret).verify(ca.publicKey)));
}

const settled = (server: FakeApiServer) => until(() => inOrder(server));

test.serial(
  'two replicas that start at once agree on one CA, and all that have to trust it do',
  async (t) => {
    const server = await start(t);
    const [a, b] = [replica(t, server), replica(t, server)];
    const [first, second] = await Promise.all([a.source, b.source]);
    await settled(server);
    t.is(countOf(textOf(server, 'podmirror-own-ca', 'ca.crt')), 1);
    await until(() => first.current().cert.equals(second.current().cert));
    t.is(
      leafOf(server, 'podmirror-webhook-tls').checkHost('podmirror-webhook.podmirror.svc'),
      'podmirror-webhook.podmirror.svc',
    );
    t.is(leafOf(server, 'podmirror-agent-tls').subject, 'CN=podmirror-agent');
    t.is((server.get(`${secrets}/podmirror-agent-tls`) as unknown as Secret).type, 'kubernetes.io/tls');
  },
);

test.serial('what is in order is read and not written', async (t) => {
  const server = await start(t);
  await replica(t, server).source;
  await settled(server);
  const before = server.asked.length;
  await until(() => server.asked.length > before + 12);
  t.true(server.asked.slice(before).every(({ verb }) => verb === 'get'));
});

test.serial(
  'a deleted leaf comes back under the same CA; a deleted CA is replaced in steps, and the older one is forgotten',
  async (t) => {
    const server = await start(t);
    const one = replica(t, server);
    await one.source;
    await settled(server);
    const first = textOf(server, 'podmirror-own-ca', 'ca.crt');
    server.remove(`${secrets}/podmirror-agent-tls`);
    await until(() => server.get(`${secrets}/podmirror-agent-tls`) !== undefined);
    t.is(textOf(server, 'podmirror-agent-tls', 'ca.crt'), first);

    const leaf = textOf(server, 'podmirror-webhook-tls', 'tls.crt');
    server.remove(`${secrets}/podmirror-own-ca`);
    await until(() => server.get(`${secrets}/podmirror-own-ca`) !== undefined);
    await settled(server);
    t.is(countOf(textOf(server, 'podmirror-own-ca', 'ca.crt')), 2);
    t.true(textOf(server, 'podmirror-own-ca', 'ca.crt').includes(first));
    t.is(textOf(server, 'podmirror-webhook-tls', 'tls.crt'), leaf, 'nothing is signed yet');
    await until(() => textOf(server, 'podmirror-webhook-tls', 'tls.crt') !== leaf);
    await until(() => countOf(textOf(server, 'podmirror-own-ca', 'ca.crt')) === 1 && inOrder(server));
    t.false(textOf(server, 'podmirror-own-ca', 'ca.crt').includes(first));
    await until(() => one.served.length > 0);
  },
);

const other = createAuthority({ commonName: 'other', days: 300 });
const client = issueLeaf(other, { commonName: 'podmirror-agent', usages: ['client'], days: 80 });
const b64 = (text: string) => Buffer.from(text).toString('base64');
const byHand: [title: string, secret: string, data: Record<string, string> | undefined, says: RegExp][] = [
  [
    'a CA that is no PEM',
    'podmirror-own-ca',
    { 'ca.crt': b64('x'), 'tls.crt': b64('x'), 'tls.key': b64('x') },
    /new CA was made: tls.crt: no certificate/,
  ],
  [
    'a leaf as CA',
    'podmirror-own-ca',
    { 'ca.crt': b64(other.cert), 'tls.crt': b64(client.cert), 'tls.key': b64(client.key) },
    /it is no CA/,
  ],
  [
    'an empty Secret',
    'podmirror-agent-tls',
    undefined,
    /podmirror-agent-tls: a new certificate: one of ca.crt, tls.crt, tls.key is empty/,
  ],
  [
    'no base64',
    'podmirror-processor-tls',
    { 'ca.crt': '%', 'tls.crt': '%', 'tls.key': '%' },
    /podmirror-processor-tls: a new certificate: .* is empty/,
  ],
  [
    "another one's key",
    'podmirror-agent-tls',
    { 'ca.crt': b64(other.cert), 'tls.crt': b64(client.cert), 'tls.key': b64(other.key) },
    /belongs to another certificate/,
  ],
  [
    'the wrong names',
    'podmirror-processor-tls',
    { 'ca.crt': b64(other.cert), 'tls.crt': b64(client.cert), 'tls.key': b64(client.key) },
    /it is not for podmirror-processor/,
  ],
  [
    'a CA that is not beside it',
    'podmirror-agent-tls',
    { 'ca.crt': b64(client.cert), 'tls.crt': b64(client.cert), 'tls.key': b64(client.key) },
    /no CA that is trusted has issued it/,
  ],
];

for (const [title, secret, data, says] of byHand) {
  test.serial(`by hand: ${title}: replaced, and said why`, async (t) => {
    const server = await start(t);
    server.put(`${secrets}/${secret}`, {
      metadata: { name: secret, labels: { mine: 'yes' } },
      ...(data && { data }),
    });
    const { log, source } = replica(t, server);
    await source;
    await settled(server);
    t.true(
      log.lines.some((line) => says.test(line)),
      log.lines.join('\n'),
    );
    t.deepEqual(
      (server.get(`${secrets}/${secret}`) as unknown as { metadata: { labels: object } }).metadata.labels,
      { mine: 'yes' },
    );
  });
}

test.serial(
  'certificates of cert-manager, found when the mode is changed, go on being trusted until they are replaced',
  async (t) => {
    const server = await start(t);
    const leaf = issueLeaf(other, {
      commonName: 'x',
      dnsNames: ['podmirror-webhook.podmirror.svc', 'podmirror-webhook.podmirror.svc.cluster.local'],
      usages: ['server'],
      days: 80,
    });
    server.put(`${secrets}/podmirror-webhook-tls`, {
      metadata: { name: 'podmirror-webhook-tls' },
      data: { 'ca.crt': b64(other.cert), 'tls.crt': b64(leaf.cert), 'tls.key': b64(leaf.key) },
    });
    const one = replica(t, server, { spreadMs: 300 });
    t.is((await one.source).current().cert.toString(), leaf.cert);
    await until(() => one.served.length > 0);
    await until(() => inOrder(server) && countOf(textOf(server, 'podmirror-own-ca', 'ca.crt')) === 1);
  },
);

test.serial(
  'time passes: leaves and, in its turn, the CA are renewed before they end; a clock that jumps back heals',
  async (t) => {
    const server = await start(t);
    let skipMs = 0;
    const one = replica(t, server, { spreadMs: 300, skipMs: () => skipMs });
    await one.source;
    await settled(server);
    // issueLeaf takes the true time, so years are told backwards: what is there looks old.
    const leaf = textOf(server, 'podmirror-agent-tls', 'tls.crt');
    const ca = textOf(server, 'podmirror-own-ca', 'tls.crt');
    skipMs = 65 * dayMs;
    await until(() => textOf(server, 'podmirror-agent-tls', 'tls.crt') !== leaf);
    t.is(textOf(server, 'podmirror-own-ca', 'tls.crt'), ca);
    skipMs = -10 * dayMs;
    await until(() => textOf(server, 'podmirror-own-ca', 'tls.crt') !== ca);
    skipMs = 0;
    await settled(server);
  },
);

test.serial('while the API server refuses, it says so once, and goes on when it does not', async (t) => {
  const server = await start(t);
  server.fault(
    { kind: 'status', code: 403, reason: 'Forbidden' },
    ({ resource }) => resource === 'secrets',
    40,
  );
  const { log, source } = replica(t, server);
  await source;
  t.is(log.lines.filter((line) => line.startsWith('warn')).length, 1, log.lines.join('\n'));
  t.regex(log.lines[0] ?? '', /^warn certificates: GET .*secrets.*: 403 Forbidden.*It is tried again$/);
});
