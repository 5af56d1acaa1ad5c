/** What kubectl prints: refusals and warnings, each understandable with no other context. */
import test from 'ava';
import { until } from '../harness/until.ts';
import { untilConverged } from '../kube/convergence.ts';
import { deployPodmirror, type Podmirror } from '../kube/deploy.ts';
import { explainPod } from '../kube/explained.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import { podManifest, podSpec } from '../kube/pods.ts';

let kube: Kube;
let podmirror: Podmirror;

test.before(async () => {
  kube = await startKube({ controllers: true });
  podmirror = await deployPodmirror(kube);
  await podmirror.start(0);
  await kube.kubectl(['create', 'namespace', 'shop']);
  await kube.kubectl(['create', 'namespace', 'team-payments']);
  await kube.kubectl(['label', 'namespace', 'team-payments', 'wallarm-mirror=enabled']);
  const pod = podManifest({ name: 'web', containers: ['web', 'proxy'], labels: { app: 'storefront' } });
  await kube.kubectl(['create', '-f', '-'], JSON.stringify(pod));
  await untilConverged(kube.kubectl);
  const isSeen = () => explainPod(podmirror.replicas[0]?.opsUrl ?? '', 'shop/web');
  await until(isSeen, { timeoutMs: 20_000 });
});
test.after.always(async () => {
  await podmirror?.stop();
  await kube?.stop();
});

const long = 'x'.repeat(300);

/** As in the manual: `kubectl apply -f filters.yaml`. */
function filtersManifest(yaml: string, key = 'filters.yaml'): string {
  const metadata = { name: 'podmirror-filters', namespace: 'podmirror' };
  return JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [key]: yaml } });
}

/** What a person reads, whichever stream it is on. */
async function print(args: string[], input: string): Promise<string> {
  const { code, stdout, stderr } = await kube.kubectl.attempt(args, input);
  return `${stdout}${stderr}exit code ${code}`;
}

for (const [title, yaml] of [
  ['an unclosed bracket', "filters: [{namespace: 'team-['}]"],
  ['an empty value', "filters: [{namespace: ''}]"],
  ['an empty item', 'filters: [{}]'],
  ['an unknown key', 'filters: [{namespaces: shop}]'],
  ['a list with a negation', "filters: [{namespace: '!a,b'}]"],
  ['a pattern of 300 characters', `filters: [{namespace: ${long}}]`],
  ['a pattern of 20 stars', `filters: [{pod_name: '${'*a'.repeat(20)}'}]`],
  ['a boolean written as text', "allNamespaces: 'yes'"],
  ['no list', 'filters: {namespace: shop}'],
  ['broken YAML', 'filters:\n- namespace: shop\n  pod_labels: {app: web\n'],
  [
    'everything at once',
    "allNamespaces: si\nfilters:\n- {}\n- namespace: 'a['\n  pod_lables: {app: web}\n- pod_name: ''",
  ],
] as const) {
  test.serial(`filters with ${title} are refused, and kubectl says what to write`, async (t) => {
    t.snapshot(await print(['apply', '-f', '-'], filtersManifest(yaml)));
  });
}

test.serial('filters under another key are refused', async (t) => {
  t.snapshot(await print(['apply', '-f', '-'], filtersManifest('filters: []', 'filters.yml')));
});

test.serial('a refused change leaves the filters as they were', async (t) => {
  await print(['apply', '-f', '-'], filtersManifest('filters: [{namespace: shop}]'));
  await print(['apply', '-f', '-'], filtersManifest('filters: [{namespace: "["}]'));
  const args = ['get', 'configmap', 'podmirror-filters', '-n', 'podmirror', '-o', 'jsonpath={.data}'];
  t.is(await kube.kubectl(args), '{"filters.yaml":"filters: [{namespace: shop}]"}');
});

for (const [title, yaml] of [
  ['a namespace that is nearly there', 'filters: [{namespace: shpo}]'],
  ['a namespace that is not there', 'filters: [{namespace: warehouse}]'],
  ['a label value that is nearly there', 'filters: [{pod_labels: {app: storefrnt}}]'],
  ['a namespace that is enabled as a whole', 'filters: [{namespace: team-payments, container_name: web}]'],
  ['allNamespaces beside filters', 'allNamespaces: true\nfilters: [{namespace: shop}]'],
] as const) {
  test.serial(`filters with ${title} are taken with a warning`, async (t) => {
    t.snapshot(await print(['apply', '-f', '-'], filtersManifest(yaml)));
  });
}

for (const [title, args] of [
  ['the label true', ['label', 'namespace', 'shop', 'wallarm-mirror=true', '--overwrite']],
  ['the label Enabled', ['label', 'namespace', 'shop', 'wallarm-mirror=Enabled', '--overwrite']],
  ['a misspelt label', ['label', 'namespace', 'shop', 'wallarm-miror=enabled', '--overwrite']],
  ['an annotation instead of the label', ['annotate', 'namespace', 'shop', 'wallarm-mirror=enabled']],
] as const) {
  test.serial(`a namespace with ${title} is taken with a warning`, async (t) => {
    t.snapshot(await print([...args], ''));
    await kube.kubectl(['label', 'namespace', 'shop', 'wallarm-mirror-', 'wallarm-miror-']);
  });
}

test.serial('a pod annotated with another word is taken with a warning', async (t) => {
  t.snapshot(await print(['annotate', 'pod', '-n', 'shop', 'web', 'mirror.wallarm.com/enabled=yes'], ''));
});

test.serial('a pod that a controller has made is warned about when somebody annotates it', async (t) => {
  const labels = { app: 'api' };
  const replicaSet = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { namespace: 'shop', name: 'api' },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: podSpec(['api']) } },
  };
  await kube.kubectl(['create', '-f', '-'], JSON.stringify(replicaSet));
  const podOf = () => kube.kubectl(['get', 'pods', '-n', 'shop', '-l', 'app=api', '-o', 'name']);
  const pod = (await until(podOf, { timeoutMs: 20_000 }))?.trim() ?? '';
  const annotate = async (...words: string[]) =>
    (await print(['annotate', '-n', 'shop', pod, '--overwrite', ...words], '')).replaceAll(
      pod,
      'pod/api-x7k2p',
    );
  t.snapshot(await annotate('mirror.wallarm.com/enabled=yes'));
  t.snapshot(await annotate('example.com/of-no-concern=here'), 'another change says nothing again');
  await kube.kubectl(['delete', 'replicaset', '-n', 'shop', 'api', '--cascade=foreground']);
});

test.serial('an update of something else in a namespace repeats no warning', async (t) => {
  t.snapshot(
    await print(
      ['create', '-f', '-'],
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'noisy', labels: { 'wallarm-mirror': 'on' } },
      }),
    ),
  );
  const change = (verb: string, word: string) => print([verb, 'namespace', 'noisy', '--overwrite', word], '');
  t.snapshot(await change('label', 'team=payments'), 'another label');
  t.snapshot(await change('annotate', 'example.com/of-no-concern=here'), 'the first annotation');
  t.snapshot(await change('annotate', 'wallarm-mirror=enabled'), 'a key that is new');
  t.snapshot(await change('label', 'wallarm-mirror=yes'), 'another value');
  t.snapshot(await change('label', 'wallarm-mirror-'), 'the label is gone');
  await kube.kubectl(['delete', 'namespace', 'noisy', '--wait=false']);
});

test.serial('what means something is taken without a word', async (t) => {
  t.snapshot(await print(['apply', '-f', '-'], filtersManifest('filters: [{namespace: shop}]')));
  await kube.kubectl(['create', 'namespace', 'quiet']);
  t.snapshot(await print(['label', 'namespace', 'quiet', 'wallarm-mirror=enabled'], ''));
  const annotate = [
    'annotate',
    'pod',
    '-n',
    'shop',
    'web',
    'mirror.wallarm.com/enabled=false',
    '--overwrite',
  ];
  t.snapshot(await print(annotate, ''));
});

test.serial('deleting the filters is taken, and kubectl says what is gone', async (t) => {
  await print(['apply', '-f', '-'], filtersManifest('filters: [{namespace: shop}]'));
  t.snapshot(await print(['delete', 'configmap', 'podmirror-filters', '-n', 'podmirror'], ''));
});
