/** What goes wrong in clusters: after each fault the intent converges by itself to what follows from the cluster. */
import { join } from 'node:path';
import test from 'ava';
import { startProxy } from '../harness/proxy.ts';
import { until } from '../harness/until.ts';
import { readIntent, readShards } from '../kube/agent-view.ts';
import { freshDesired, untilConverged } from '../kube/convergence.ts';
import { deployPodmirror, type Podmirror } from '../kube/deploy.ts';
import { explainNamespace } from '../kube/explained.ts';
import { accountUser, grantsOf, refusedIn, usedIn } from '../kube/grants.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import { writeKubeconfig } from '../kube/kubeconfig.ts';
import { podManifest, podSpec, TEST_LABEL } from '../kube/pods.ts';

let kube: Kube;
let podmirror: Podmirror;

test.before(async () => {
  kube = await startKube();
});
test.after.always(async () => {
  await podmirror?.stop();
  await kube?.stop();
});

const kubectl = (args: string[], input?: string) => kube.kubectl(args, input);
const apply = (object: object) => kubectl(['apply', '-f', '-'], JSON.stringify(object));
const create = (items: readonly object[]) =>
  kubectl(['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
const converged = () => untilConverged(kube.kubectl, 60_000);

function applyFilters(yaml: string): Promise<string> {
  const metadata = { name: 'podmirror-filters', namespace: 'podmirror' };
  return apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'filters.yaml': yaml } });
}

const NAMESPACES = ['shop', 'bank', 'team-a', 'team-b'];
let names = 0;

/** So many new pods in all namespaces, of so many classes in each. */
function somePods(count: number, classes: number): object[] {
  return NAMESPACES.flatMap((namespace) =>
    Array.from({ length: count }, (_, index) =>
      podManifest({
        namespace,
        name: `pod-${names++}`,
        containers: ['web'],
        labels: { app: `app-${index % classes}` },
      }),
    ),
  );
}

const classCount = async () => (await readIntent(kube.kubectl)).classes.size;

/** Asks each replica that runs, since any of them may have just ended or begun to lead. */
async function leader(): Promise<number> {
  const found = await until(
    async () => {
      const lease = JSON.parse(
        await kubectl(['get', 'lease', 'podmirror-webhook', '-n', 'podmirror', '-o', 'json']),
      );
      const holder = String(lease.spec.holderIdentity ?? '');
      const index = podmirror.replicas.findIndex(({ podName }) => holder.startsWith(`${podName}_`));
      return index >= 0 ? { index } : undefined;
    },
    { timeoutMs: 40_000, everyMs: 100 },
  );
  if (!found) throw new Error('nobody leads');
  return found.index;
}

test.serial('pods that were there before podmirror are adopted', async (t) => {
  await create(
    NAMESPACES.map((name) => ({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name,
        labels: { [TEST_LABEL]: 'yes', ...(name === 'shop' && { 'wallarm-mirror': 'enabled' }) },
      },
    })),
  );
  await create(somePods(10, 5));
  podmirror = await deployPodmirror(kube);
  await podmirror.start(0);
  await podmirror.start(1);
  await applyFilters("filters: [{pod_labels: {app: 'app-1,app-2'}}]");
  await converged();
  t.is(await classCount(), 5 + 3 * 2);
});

test.serial('a leader killed while it writes leaves nothing that the next one does not mend', async (t) => {
  for (const [round, waitMs] of [0, 40, 120].entries()) {
    const before = await leader();
    await applyFilters(`filters: [{pod_labels: {app: 'app-${round},app-${round + 1}'}}]`);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    await podmirror.kill(before);
    await podmirror.start(before);
    await converged();
  }
  t.pass();
});

test.serial(
  'with both replicas killed pods are created, filters are refused, and all is adopted later',
  async (t) => {
    await podmirror.kill(0);
    await podmirror.kill(1);
    await create(somePods(5, 5));
    await kubectl(['label', 'namespace', 'bank', 'wallarm-mirror=enabled']);
    const refused = await kube.kubectl.attempt([
      'patch',
      'configmap',
      'podmirror-filters',
      '-n',
      'podmirror',
      '-p',
      '{"data":{"filters.yaml":""}}',
    ]);
    t.not(refused.code, 0);
    t.regex(refused.stderr, /failed calling webhook/);
    await podmirror.start(0);
    await podmirror.start(1);
    await converged();
    await applyFilters('');
    await converged();
    // No filter, so no label counts: a class for each namespace.
    t.is(await classCount(), 2);
  },
);

test.serial('an API server that crashes and comes back is followed again', async (t) => {
  await kube.killApiServer();
  await new Promise((resolve) => setTimeout(resolve, 2000));
  await kube.startApiServer();
  await create(somePods(2, 2));
  await kubectl(['label', 'namespace', 'team-a', 'wallarm-mirror=enabled']);
  await converged();
  t.is(await classCount(), 3);
});

test.serial('an API server that ends in order is followed again', async (t) => {
  await kube.stopApiServer();
  await kube.startApiServer();
  await kubectl(['label', 'namespace', 'team-a', 'wallarm-mirror-']);
  await converged();
  t.is(await classCount(), 2);
});

test.serial(
  'a leader that is suspended longer than its lease loses it, and wakes without harm',
  async (t) => {
    const before = await leader();
    const other = 1 - before;
    podmirror.signal(before, 'SIGSTOP');
    t.teardown(() => podmirror.signal(before, 'SIGCONT'));
    // Refused while the API server still asks the one that does not answer: endpoints learn it from its probe, and
    // connections that are open time out one by one.
    const applyInTime = async (yaml: string) => {
      const isTaken = () =>
        applyFilters(yaml).then(
          () => true,
          () => false,
        );
      t.true(await until(isTaken, { timeoutMs: 120_000, everyMs: 200 }));
    };
    await applyInTime("filters: [{namespace: 'team-*'}]");
    await until(async () => (await leader()) === other, { timeoutMs: 40_000, everyMs: 200 });
    t.is(await leader(), other);
    await converged();
    await applyInTime("filters: [{namespace: 'team-b'}]");
    await converged();
    podmirror.signal(before, 'SIGCONT');
    await new Promise((resolve) => setTimeout(resolve, 3000));
    t.is(await leader(), other);
    await converged();
    t.regex(podmirror.replicas[before]?.output() ?? '', /not leading any more/);
  },
);

test.serial(
  'connections that are cut and answers that never come are found, and what changed meanwhile is seen',
  async (t) => {
    const { alone, proxy } = await startThroughProxy();
    t.teardown(async () => {
      await alone.stop();
      proxy.close();
    });
    const label = async () => (await explainNamespace(alone.opsUrl, 'bank'))?.namespace.label;
    const knows = (word: string) =>
      until(async () => (await label()) === word, { timeoutMs: 60_000, everyMs: 100 });
    t.true(await knows('enabled'));
    for (const word of ['disabled', 'enabled']) {
      proxy.cut();
      await kubectl(['label', 'namespace', 'bank', `wallarm-mirror=${word}`, '--overwrite']);
      t.true(await knows(word));
    }
    proxy.holdAnswers();
    await kubectl(['label', 'namespace', 'bank', 'wallarm-mirror=disabled', '--overwrite']);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    t.is(await label(), 'enabled');
    // The connection is not closed, so only its own end finds it: see usualTiming in webhook/cluster/watcher.ts.
    proxy.cut();
    t.true(await knows('disabled'));
  },
);

test.serial('a certificate that cert-manager issues again is served without a restart', async (t) => {
  const before = await podmirror.fingerprint(0);
  await kubectl(['delete', 'secret', 'podmirror-webhook-tls', '-n', 'podmirror']);
  const isNew = async () => {
    await podmirror.syncCertificates();
    return (await podmirror.fingerprint(0)) !== before && (await podmirror.fingerprint(1)) !== before;
  };
  t.true(await until(isNew, { timeoutMs: 90_000, everyMs: 500 }));
  await kubectl(['label', 'namespace', 'shop', 'wallarm-mirror=enabled', '--overwrite']);
  await converged();
  // Asked of a webhook whose certificate the API server trusts; one that it does not trust is passed by.
  await create([podManifest({ namespace: 'shop', name: 'rotated', containers: ['web'] })]);
  const annotation = 'jsonpath={.metadata.annotations.podmirror\\.io/intent}';
  const told = await kubectl(['get', 'pod', 'rotated', '-n', 'shop', '-o', annotation]);
  t.regex(told, /^mirrored: namespace shop is labelled/);
});

test.serial('a clock that jumps by hours, to and fro, changes nothing', async (t) => {
  await podmirror.restart(0, {
    nodeOptions: `--import=${new URL('../kube/jumping-clock.ts', import.meta.url)}`,
  });
  await podmirror.restart(1);
  const jumping = await until(async () => (await leader()) === 0 || undefined, { timeoutMs: 1000 });
  if (!jumping) await podmirror.restart(1);
  t.is(await leader(), 0);
  await applyFilters('filters: [{namespace: bank}, {pod_labels: {app: app-1}}]');
  await converged();
  await new Promise((resolve) => setTimeout(resolve, 5000));
  t.is(await leader(), 0, 'the lease is still held');
  await applyFilters('filters: [{namespace: bank}]');
  await converged();
  await podmirror.restart(0);
});

test.serial('an intent larger than a ConfigMap is spread over shards', async (t) => {
  // Each entry of a class tells every filter that matches it, in up to 300 characters.
  const keys = ['example.com/first', 'example.com/second'];
  const filters = Array.from({ length: 100 }, (_, index) => ({
    namespace: 'shop,bank',
    pod_labels: { shard: '*' },
    pod_annotations: Object.fromEntries(keys.map((key) => [key, `!${'y'.repeat(110)}${index}`])),
  }));
  await applyFilters(JSON.stringify({ filters }));
  const pods = Array.from({ length: 80 }, (_, index) =>
    podManifest({
      namespace: 'shop',
      name: `shard-${index}`,
      containers: [`c-${index}`],
      labels: { shard: 'yes' },
      annotations: Object.fromEntries(keys.map((key) => [key, 'z'])),
    }),
  );
  await kubectl(['label', 'namespace', 'shop', 'wallarm-mirror-']);
  const growing = kube.audit().length;
  await create(pods);
  // Between the first of these writes and the last, the leader dies.
  const isBetween = () =>
    kube
      .audit()
      .slice(growing)
      .some(({ name }) => name?.startsWith('podmirror-intent-'));
  t.true(await until(isBetween, { timeoutMs: 30_000, everyMs: 1 }));
  const dead = await leader();
  await podmirror.kill(dead);
  await podmirror.start(dead);
  await converged();
  t.is((await readIntent(kube.kubectl)).meta.shards, 8);
  await applyFilters('');
  await converged();
});

/**
 * A process whose connections fall silent, looked at some two minutes later. From here on no leader ends: it could
 * become one, and would know nothing new for as long.
 */
let silent:
  | { label(): Promise<string | null | undefined>; output(): string; stop(): Promise<void> }
  | undefined;
test.after.always(() => silent?.stop());

test.serial('connections to the API server fall silent for one process', async (t) => {
  const { alone, proxy } = await startThroughProxy();
  const label = async () => (await explainNamespace(alone.opsUrl, 'team-b'))?.namespace.label;
  t.is(await label(), null);
  proxy.silence();
  silent = {
    label,
    output: alone.output,
    async stop() {
      await alone.stop();
      proxy.close();
    },
  };
  await kubectl(['label', 'namespace', 'team-b', 'wallarm-mirror=disabled']);
});

async function startThroughProxy() {
  const proxy = await startProxy(Number(new URL(kube.server).port));
  const kubeconfig = writeKubeconfig({
    file: join(kube.directory, `through-${proxy.port}.yaml`),
    server: `https://127.0.0.1:${proxy.port}`,
    ca: join(kube.directory, 'ca.crt'),
    token: (await kubectl(['create', 'token', 'podmirror-webhook', '-n', 'podmirror'])).trim(),
  });
  return { proxy, alone: await podmirror.startApart({ kubeconfig }) };
}

for (const [title, spoil] of [
  ['deleted', () => kubectl(['delete', 'configmap', 'podmirror-intent', '-n', 'podmirror'])],
  ['emptied', () => replaceData({})],
  ['filled with nonsense', () => replaceData({ _meta: 'x', 'shop.0000000000000000': '[]', 'no-class': 'y' })],
  ['made to grant too much', () => widened()],
] as const) {
  test.serial(`a ConfigMap that somebody has ${title} is restored`, async (t) => {
    const before = await readShards(kube.kubectl);
    await spoil();
    // An entry that looks like a class waits for pods for half a minute: an admission could have written it.
    await until(async () => JSON.stringify(await readShards(kube.kubectl)) === JSON.stringify(before), {
      timeoutMs: 60_000,
      everyMs: 100,
    });
    t.deepEqual(await readShards(kube.kubectl), before);
  });
}

async function replaceData(data: Record<string, string>): Promise<void> {
  const metadata = { name: 'podmirror-intent', namespace: 'podmirror' };
  await kubectl(
    ['replace', '-f', '-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data }),
  );
}

async function widened(): Promise<void> {
  const [data = {}] = await readShards(kube.kubectl);
  const grants = JSON.stringify([{ containers: ['*'], nodes: ['*'], because: 'somebody' }]);
  await replaceData({ ...data, 'kube-public.0badcafe0badcafe': grants, 'team-a.0badcafe0badcafe': grants });
}

test.serial('workloads hear in Events what was decided about them', async (t) => {
  await applyFilters('filters: [{container_name: web, pod_labels: {app: event-*}}]');
  const template = (app: string, annotations = {}) => ({
    metadata: { labels: { app, [TEST_LABEL]: 'yes' }, annotations },
    spec: { ...podSpec(['web']), restartPolicy: 'Never' },
  });
  const job = { backoffLimit: 0, template: template('event-job') };
  const jobTemplate = { spec: { ...job, template: template('event-cronjob') } };
  await create([
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'events', namespace: 'shop' },
      spec: {
        selector: { matchLabels: { app: 'event-deployment' } },
        template: {
          ...template('event-deployment', { 'mirror.wallarm.com/enabled': 'yes' }),
          spec: podSpec(['web']),
        },
      },
    },
    { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'events', namespace: 'shop' }, spec: job },
    {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name: 'events', namespace: 'shop' },
      spec: { schedule: '* * * * *', jobTemplate },
    },
  ]);
  await kubectl(['create', 'job', '-n', 'shop', 'events-now', '--from=cronjob/events']);
  const told = async () => {
    const { items } = JSON.parse(await kubectl(['get', 'events', '-n', 'shop', '-o', 'json']));
    return items
      .filter((event: { source: { component?: string } }) => event.source.component === 'podmirror-webhook')
      .map(
        ({
          involvedObject,
          reason,
          message,
        }: Record<string, unknown> & { involvedObject: Record<string, string> }) =>
          `${involvedObject.kind}/${involvedObject.name} ${reason}: ${message}`,
      ) as string[];
  };
  const wanted = [
    'Deployment/events MirroringEnabled: mirroring enabled: filter 1 (pod label app=event-*, container web)',
    'Deployment/events MirroringIgnored: ignored: the pod is annotated mirror.wallarm.com/enabled=yes, which counts as unset. Write "true"',
    'Job/events MirroringEnabled: mirroring enabled: filter 1 (pod label app=event-*, container web)',
  ];
  const all = await until(
    async () => {
      const sentences = await told();
      return wanted.every((sentence) => sentences.includes(sentence)) ? sentences : undefined;
    },
    { timeoutMs: 60_000, everyMs: 250 },
  );
  t.truthy(all, `told: ${(await told()).join('\n')}`);
});

test.serial(
  'silence is taken for a dead connection after some two minutes, and what changed meanwhile is seen',
  async (t) => {
    const isFound = async () => (await silent?.label()) === 'disabled';
    t.true(await until(isFound, { timeoutMs: 200_000, everyMs: 500 }));
    t.regex(silent?.output() ?? '', /not a byte in 130000 ms; watching again/);
  },
);

test.serial('nothing is left in the intent that no pod needs', async (t) => {
  const isExact = async () => {
    const { desired } = await freshDesired(kube.kubectl);
    const ids = [...(await readIntent(kube.kubectl)).classes.keys()].sort();
    return JSON.stringify(ids) === JSON.stringify([...desired.classes.keys()].sort());
  };
  t.true(await until(isExact, { timeoutMs: 60_000, everyMs: 500 }));
});

test.serial(
  'our ServiceAccount was refused nothing, and was granted nothing that it did not use',
  async (t) => {
    const requests = kube.audit().filter(({ user }) => user === accountUser('podmirror-webhook'));
    t.deepEqual(refusedIn(requests), []);
    const used = usedIn(requests);
    const granted = await grantsOf(kube.kubectl, 'podmirror-webhook');
    t.true(granted.length > 20);
    t.deepEqual(
      granted.filter((grant) => !used.has(grant)),
      [],
    );
  },
);
