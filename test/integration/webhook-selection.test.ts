/** The selection rules through a real API server: kubectl says what is wanted, and an agent finds who is mirrored. */
import test from 'ava';
import type { PodExplanation } from '../../webhook/explain/explanation.ts';
import { rows } from '../../webhook/intent/fake/rows.ts';
import type { PodFacts } from '../../webhook/intent/model.ts';
import { until } from '../harness/until.ts';
import { mirroredContainers, type PodObject, readIntent } from '../kube/agent-view.ts';
import { untilConverged } from '../kube/convergence.ts';
import { deployPodmirror, type Podmirror } from '../kube/deploy.ts';
import { explainPod } from '../kube/explained.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import { container, podManifest, podSpec, TEST_LABEL } from '../kube/pods.ts';

let kube: Kube;
let podmirror: Podmirror;

test.before(async () => {
  kube = await startKube();
  podmirror = await deployPodmirror(kube);
  await podmirror.start(0);
  await podmirror.start(1);
});
test.after.always(async () => {
  await podmirror?.stop();
  await kube?.stop();
});

const kubectl = (args: string[], input?: string) => kube.kubectl(args, input);

async function reset(filters = ''): Promise<void> {
  await kubectl(['delete', 'pods', '-A', '-l', TEST_LABEL, '--force', '--grace-period=0']);
  await applyFilters(filters);
  await kubectl(['label', 'namespace', '-l', `${TEST_LABEL}=yes`, 'wallarm-mirror-']);
}

function applyFilters(yaml: string): Promise<string> {
  const metadata = { name: 'podmirror-filters', namespace: 'podmirror' };
  const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'filters.yaml': yaml } };
  return kubectl(['apply', '-f', '-'], JSON.stringify(configMap));
}

const made = new Set(['default', 'kube-system', 'kube-public', 'kube-node-lease', 'podmirror']);

async function haveNamespaces(names: Iterable<string>): Promise<void> {
  const missing = [...new Set(names)].filter((name) => !made.has(name));
  const items = missing.map((name) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { [TEST_LABEL]: 'yes' } },
  }));
  if (items.length === 0) return;
  await kubectl(['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  for (const name of missing) made.add(name);
}

/** The objects as the API server keeps them, and what kubectl warned of. */
async function create(pods: readonly object[]): Promise<{ pods: PodObject[]; warnings: string }> {
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: pods });
  const { code, stdout, stderr } = await kube.kubectl.attempt(['create', '-o', 'json', '-f', '-'], list);
  if (code !== 0) throw new Error(`kubectl create: ${stderr}`);
  // One document after the other, each beginning at the left margin.
  return { pods: stdout.split(/^(?=\{)/m).map((text) => JSON.parse(text)), warnings: stderr };
}

/** Both replicas have seen the pod and think the same, and the ConfigMap agrees. */
async function settled(pod: PodObject): Promise<PodExplanation> {
  const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
  const agreed = async () => {
    const all = await Promise.all(podmirror.replicas.map((replica) => explainPod(replica.opsUrl, name)));
    return all.every((explained) => explained?.stored.agrees) ? all[0] : undefined;
  };
  const explained = await until(agreed, { timeoutMs: 20_000, everyMs: 30 });
  if (!explained) throw new Error(`${name}: the replicas or the ConfigMap do not agree`);
  return explained;
}

/** The API server takes no others. */
const exists = ({ namespace = 'shop' }: Partial<PodFacts>) =>
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(namespace);

// Ephemeral containers cannot be created with a pod: they have a test of their own below.
const canBeCreated = ({ ephemeralContainers = [] }: Partial<PodFacts>) => ephemeralContainers.length === 0;

for (const { number, title, mirror, filters = '', pods: described, warning } of rows) {
  const real = described
    .map(([facts, containers, rule]) => ({
      // Where the row leaves a name open on purpose (generateName), the key is there and undefined.
      facts: { containers: ['web', 'proxy'], namespace: 'shop', ...facts },
      unnamed: 'name' in facts && facts.name === undefined,
      containers,
      rule,
    }))
    .filter(({ facts }) => exists(facts) && canBeCreated(facts));
  if (real.length === 0) continue;
  test.serial(`${number} ${title}`, async (t) => {
    await haveNamespaces(real.map(({ facts }) => facts.namespace));
    await reset(filters);
    if (mirror !== undefined) await kubectl(['label', 'namespace', 'shop', `wallarm-mirror=${mirror}`]);
    await untilConverged(kube.kubectl);
    const manifests = real.map(({ facts, unnamed }, index) =>
      podManifest({ ...facts, name: unnamed ? undefined : (facts.name ?? `row-${number}-${index}`) }),
    );
    const { pods, warnings } = await create(manifests);
    for (const [index, { containers, rule }] of real.entries()) {
      const pod = pods[index];
      if (!pod) throw new Error(`pod ${index} was not created`);
      const explained = await settled(pod);
      const shown = JSON.stringify(pod.metadata);
      t.deepEqual(mirroredContainers(await readIntent(kube.kubectl), pod), containers, shown);
      if (rule !== undefined) t.is(explained.verdict.rule, rule, shown);
      // What was decided at its creation stands on it, unless no rule spoke, or only the controller may decide.
      const said = pod.metadata.annotations?.['podmirror.io/intent'];
      const isSilent = ['nothing-asked', 'namespace-excluded'].includes(explained.verdict.rule);
      const isStatic = pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined;
      if (isSilent || isStatic) t.is(said, undefined, shown);
      else t.regex(said ?? '', explained.verdict.mirrored ? /^mirrored: / : /^not mirrored: /, shown);
    }
    if (warning) t.regex(warnings.replaceAll('Warning: ', ''), new RegExp(warning.source, 'm'));
    else t.notRegex(warnings, /mirror/);
  });
}

test.serial(
  '24 an annotation on a Deployment itself has no effect, and kubectl says where it belongs',
  async (t) => {
    await haveNamespaces(['shop']);
    await reset();
    const annotations = { 'mirror.wallarm.com/enabled': 'true' };
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'shop', annotations },
      spec: {
        selector: { matchLabels: { app: 'web' } },
        template: { metadata: { labels: { app: 'web', [TEST_LABEL]: 'yes' } }, spec: podSpec(['web']) },
      },
    };
    const apply = (object: object) => kube.kubectl.attempt(['apply', '-f', '-'], JSON.stringify(object));
    const { stderr } = await apply(deployment);
    t.snapshot(stderr);
    const podsOf = async (): Promise<PodObject[]> =>
      JSON.parse(await kubectl(['get', 'pods', '-n', 'shop', '-l', 'app=web', '-o', 'json'])).items;
    const before = (await until(async () => (await podsOf()).at(0), { timeoutMs: 20_000 })) as PodObject;
    t.is((await settled(before)).verdict.mirrored, false);

    const { template } = deployment.spec;
    const spec = {
      ...deployment.spec,
      template: { ...template, metadata: { ...template.metadata, annotations } },
    };
    t.is((await apply({ ...deployment, metadata: { name: 'web', namespace: 'shop' }, spec })).stderr, '');
    const isMirrored = async () => {
      const names = (await podsOf()).map(({ metadata }) => `shop/${metadata.name}`);
      const opsUrl = podmirror.replicas[0]?.opsUrl ?? '';
      const explained = await Promise.all(names.map((name) => explainPod(opsUrl, name)));
      return explained.some((pod) => pod?.verdict.rule === 'pod-enabled' && pod.stored.agrees);
    };
    t.true(await until(isMirrored, { timeoutMs: 20_000, everyMs: 50 }));
    await kubectl(['delete', 'deployment', '-n', 'shop', 'web']);
  },
);

test.serial(
  '25 labels, filters and annotations that change at run time are resolved again without a restart',
  async (t) => {
    await haveNamespaces(['shop', 'bank']);
    await reset();
    const { pods } = await create([podManifest({ name: 'changing', containers: ['web', 'proxy'] })]);
    const [pod] = pods;
    if (!pod) throw new Error('no pod');
    const is = async (containers: string[], why: string) => {
      const isSo = async () => {
        const now = JSON.parse(
          await kubectl(['get', 'pod', '-n', 'shop', 'changing', '-o', 'json']),
        ) as PodObject;
        const found = mirroredContainers(await readIntent(kube.kubectl), now);
        return JSON.stringify(found) === JSON.stringify(containers);
      };
      t.true(await until(isSo, { timeoutMs: 20_000, everyMs: 20 }), why);
    };
    await is([], 'nothing asks');
    await kubectl(['label', 'namespace', 'shop', 'wallarm-mirror=enabled']);
    await is(['web', 'proxy'], 'the namespace is enabled');
    await kubectl(['annotate', 'pod', '-n', 'shop', 'changing', 'mirror.wallarm.com/enabled=false']);
    await is([], 'the pod is annotated false');
    await kubectl(['annotate', 'pod', '-n', 'shop', 'changing', 'mirror.wallarm.com/enabled-']);
    await is(['web', 'proxy'], 'the annotation is gone');
    await kubectl(['label', 'namespace', 'shop', 'wallarm-mirror-']);
    await is([], 'the label is gone');
    await applyFilters('filters: [{namespace: shop, container_name: web}]');
    await is(['web'], 'a filter came');
    await applyFilters('filters: [{namespace: bank}]');
    await is([], 'the filter went elsewhere');
    await kubectl(['label', 'pod', '-n', 'shop', 'changing', 'app=api']);
    await applyFilters('filters: [{pod_labels: {app: api}}]');
    await is(['web', 'proxy'], 'a label counts that did not before');
    await kubectl(['label', 'pod', '-n', 'shop', 'changing', 'app=web', '--overwrite']);
    await is([], 'the label of the pod changed');
  },
);

test.serial('27 init, sidecar and ephemeral containers of real pods are found by name', async (t) => {
  await haveNamespaces(['shop']);
  await reset("filters: [{container_name: 'migrate,envoy,debug-*'}]");
  const initContainers = [container('migrate'), { ...container('envoy'), restartPolicy: 'Always' }];
  const { pods } = await create([
    podManifest({ name: 'with-init', containers: ['web'] }, { initContainers }),
    podManifest({ name: 'with-debug', containers: ['web'] }),
  ]);
  const [first, second] = pods;
  if (!first || !second) throw new Error('no pods');
  await settled(first);
  t.deepEqual(mirroredContainers(await readIntent(kube.kubectl), first), ['migrate', 'envoy']);
  t.is((await settled(second)).verdict.mirrored, false);

  const path = '/api/v1/namespaces/shop/pods/with-debug/ephemeralcontainers';
  const current = JSON.parse(await kubectl(['get', 'pod', '-n', 'shop', 'with-debug', '-o', 'json']));
  current.spec.ephemeralContainers = [{ ...container('debug-1'), terminationMessagePolicy: 'File' }];
  await kubectl(['replace', '--raw', path, '-f', '-'], JSON.stringify(current));
  const hasDebug = async () => {
    const pod = JSON.parse(await kubectl(['get', 'pod', '-n', 'shop', 'with-debug', '-o', 'json']));
    return mirroredContainers(await readIntent(kube.kubectl), pod).join() === 'debug-1';
  };
  t.true(await until(hasDebug, { timeoutMs: 20_000 }));
});

test.serial(
  '28 pods on the host network, static pods and pods named by the API server are decided like others',
  async (t) => {
    await haveNamespaces(['shop', 'privileged']);
    await reset('filters: [{namespace: privileged}]');
    const mirrorPod = podManifest({
      namespace: 'privileged',
      name: 'static-worker-1',
      nodeName: 'worker-1',
      containers: ['web'],
      annotations: {
        'kubernetes.io/config.mirror': 'c0ffee',
        'kubernetes.io/config.source': 'file',
        'kubernetes.io/config.hash': 'c0ffee',
      },
    });
    const { pods } = await create([
      podManifest({ namespace: 'privileged', name: 'on-host', containers: ['web'] }, { hostNetwork: true }),
      podManifest({ namespace: 'privileged', containers: ['web'] }),
      mirrorPod,
    ]);
    for (const pod of pods) {
      await settled(pod);
      t.deepEqual(mirroredContainers(await readIntent(kube.kubectl), pod), ['web'], pod.metadata.name);
    }
    // The kubelet compares what it finds on its mirror pods, so nothing is written there.
    t.is(pods[2]?.metadata.annotations?.['podmirror.io/intent'], undefined);
    t.regex(pods[0]?.metadata.annotations?.['podmirror.io/intent'] ?? '', /^mirrored: filter 1/);
  },
);

test.serial(
  'the agent reads the same from a class that was written at admission and from the controller',
  async (t) => {
    await haveNamespaces(['shop']);
    await reset('filters: [{namespace: shop, container_name: web, node_name: worker-*}]');
    await untilConverged(kube.kubectl);
    const { pods } = await create([podManifest({ name: 'same', containers: ['web', 'proxy'] })]);
    const [pod] = pods;
    if (!pod) throw new Error('no pod');
    // Before anybody waits for anything: the write of the admission is there.
    const atOnce = mirroredContainers(await readIntent(kube.kubectl), pod);
    await settled(pod);
    t.deepEqual(atOnce, ['web']);
    t.deepEqual(mirroredContainers(await readIntent(kube.kubectl), pod), ['web']);
    t.deepEqual(mirroredContainers(await readIntent(kube.kubectl), pod, 'other-1'), []);
  },
);
