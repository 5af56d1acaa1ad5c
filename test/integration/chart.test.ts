/** The chart through the real helm, without a cluster. */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { isMap, parse, parseDocument, type Scalar, type YAMLMap } from 'yaml';
import { parseFilters } from '../../webhook/intent/filters.ts';
import { createKubectl } from '../kube/kubectl.ts';
import { helmProgram } from '../kube/programs.ts';
import { BASE, baseFiles, generated } from '../manifests/base-files.ts';
import { objectsOf } from '../manifests/objects.ts';
import { CHART, renderChart, valuesFile } from '../manifests/render-chart.ts';
import { runHelm } from '../manifests/run-helm.ts';

const kubectl = createKubectl({ kubeconfig: '/dev/null', home: tmpdir() });
const kustomize = (folder: string) => kubectl(['kustomize', join(BASE, '..', folder)]);
const podMonitors = '--api-versions=monitoring.coreos.com/v1/PodMonitor';

test('helm lint finds nothing', async (t) => {
  const { code, stdout } = await runHelm(helmProgram(), ['lint', '--strict', CHART]);
  t.is(code, 0, stdout);
});

test('manifests/base is what the chart says by default; when not: make manifests', async (t) => {
  const files = baseFiles(await renderChart(['--no-hooks']));
  t.deepEqual(generated(), [...files.keys()].sort());
  for (const [path, text] of files) t.is(readFileSync(join(BASE, path), 'utf8'), text, path);
});

test('kustomize takes every file of manifests/base, the webhook configurations last', (t) => {
  const { resources } = parse(readFileSync(join(BASE, 'kustomization.yaml'), 'utf8')) as {
    resources: string[];
  };
  t.deepEqual(resources.filter((path) => path !== 'namespace.yaml').sort(), generated());
  t.is(resources.at(-1), 'webhook/admission.yaml');
});

/** Without comments, which may be worded otherwise: only where each object comes from stays. */
const objectsIn = async (args: string[] = []) =>
  (await renderChart(args)).replace(/^ *#(?! Source:).*\n/gm, '');

test('objects of the default values', async (t) => {
  t.snapshot(await objectsIn());
});
test('objects of a file for the vendor’s chart', async (t) => {
  t.snapshot(await objectsIn(['--values', valuesFile('vendor'), podMonitors]));
});
test('objects of every option', async (t) => {
  t.snapshot(await objectsIn(['--values', valuesFile('all'), podMonitors]));
});

const ownIssuer = 'certificates.certManager.issuerRef';
const overlays: [string, string[]][] = [
  ['base', []],
  ['overlays/self-signed', ['--set=certificates.mode=selfSigned']],
  [
    'overlays/existing-secrets',
    [
      '--set=certificates.mode=existingSecret',
      ...['webhook', 'processor', 'agent'].map(
        (unit) => `--set=certificates.existingSecret.${unit}=podmirror-${unit}-tls`,
      ),
      `--set-file=certificates.existingSecret.webhookCA=${join(BASE, '../overlays/existing-secrets/webhook-ca.crt')}`,
    ],
  ],
  ['overlays/persistent', ['--set=processing.persistence.enabled=true']],
  ['overlays/monitoring', [podMonitors]],
  [
    'overlays/two-namespaces',
    [
      '--set=agent.namespace=podmirror-agent',
      `--set=${ownIssuer}.kind=ClusterIssuer,${ownIssuer}.name=internal`,
    ],
  ],
];
for (const [folder, args] of overlays) {
  test(`kustomize makes of ${folder} what helm makes with ${args.join(' ') || 'its defaults'}`, async (t) => {
    const ofChart = objectsOf(await renderChart(['--no-hooks', ...args]));
    const { 'Namespace /podmirror': namespace, ...others } = objectsOf(await kustomize(folder));
    t.truthy(namespace);
    t.deepEqual(Object.keys(others).sort(), Object.keys(ofChart).sort());
    for (const [name, object] of Object.entries(others)) t.deepEqual(object, ofChart[name], name);
  });
}

test('nothing says podmirror where another namespace was chosen', async (t) => {
  const rendered = await renderChart(['--namespace=watch']);
  t.deepEqual(
    rendered.match(
      /.*(namespace: podmirror$|\.podmirror\.svc|namespaces\/podmirror\/|from: podmirror\/|\[podmirror,).*/gm,
    ),
    null,
  );
});

test('the webhook reads the filters that the chart writes', async (t) => {
  const filters = [
    { namespace: 'shop-*', container_name: '!istio-proxy', pod_labels: { app: 'cart,checkout' } },
    { node_name: 'edge-*', pod_name: 'web-*', pod_annotations: { 'example.com/team': 'payments' } },
  ];
  const mirror = JSON.stringify({ allNamespaces: false, filters });
  const { 'ConfigMap podmirror/podmirror-filters': written } = objectsOf(
    await renderChart([`--set-json=config.agent.mirror=${mirror}`]),
  );
  const { data } = written as unknown as { data: Record<string, string> };
  const read = parseFilters(data['filters.yaml'] ?? '');
  t.deepEqual(read.problems, []);
  t.is(read.filters?.items.length, 2);
});

interface DaemonSet {
  spec: {
    template: { spec: { containers: [{ args: string[]; securityContext: { capabilities?: object } }] } };
  };
}

const capabilities = ['BPF', 'NET_ADMIN', 'PERFMON'];
const tlsModes: [string, string[], string, string[] | undefined][] = [
  ['by default', [], 'auto', [...capabilities, 'SYS_PTRACE']],
  ['calls', ['--set=config.agent.tls.mode=calls'], 'calls', [...capabilities, 'SYS_PTRACE']],
  ['off, which YAML reads as false', ['--set-json=config.agent.tls.mode=false'], 'off', capabilities],
  [
    'secrets, with capabilities of another taste',
    ['--set=config.agent.tls.mode=secrets,agent.securityContext.capabilities.add={SYS_ADMIN,SYS_PTRACE}'],
    'secrets',
    ['SYS_ADMIN', 'SYS_PTRACE'],
  ],
  [
    'auto, with capabilities that do not matter',
    ['--set=agent.securityContext.privileged=true,agent.securityContext.capabilities=null'],
    'auto',
    undefined,
  ],
];
for (const [title, args, mode, expected] of tlsModes) {
  test(`TLS ${title}: the agent is told, and holds SYS_PTRACE only where it needs it`, async (t) => {
    const { 'DaemonSet podmirror/podmirror-agent': object } = objectsOf(await renderChart(args));
    const [agent] = (object as unknown as DaemonSet).spec.template.spec.containers;
    t.deepEqual(agent.args, ['--config=/etc/podmirror/podmirror.yaml', `--tls=${mode}`]);
    t.deepEqual(agent.securityContext.capabilities, expected && { add: expected, drop: ['ALL'] });
  });
}

test('a key that means nothing leaves the filters that somebody edited alone', async (t) => {
  const hashOf = async (args: string[]) =>
    /filters-of-values: .*/.exec(await renderChart(['--show-only=templates/filters.yaml', ...args]))?.[0];
  t.is(await hashOf(['--set=config.agent.mirror.tls.mode=x']), await hashOf([]));
});

test('every value is told of in values.yaml, and the schema knows no other', (t) => {
  const values = parseDocument(readFileSync(join(CHART, 'values.yaml'), 'utf8')).contents as YAMLMap;
  const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema;
  t.deepEqual(differences(values, schema), []);
});

interface Schema {
  properties?: Record<string, Schema>;
  $ref?: string;
}

// Accepted without a word: Helm's own, one of the vendor's, and Kubernetes' words in a block that its key tells of.
const silent = new Set(['global', 'nameOverride', 'input_filters', 'route_config', 'image', 'resources']);

function differences(values: YAMLMap, { properties = {} }: Schema, path = ''): string[] {
  const written = new Map(values.items.map((pair) => [String((pair.key as Scalar).value), pair]));
  const missing = Object.keys(properties).filter((key) => !written.has(key) && !silent.has(key));
  return [
    ...missing.map((key) => `${path}${key}: not in values.yaml`),
    ...[...written].flatMap(([key, { key: node, value }]) => {
      const told = (node as Scalar).commentBefore ?? (values.items[0]?.key === node && values.commentBefore);
      const inner = properties[key];
      const here = mistakesIn(told || '').map((mistake) => `${path}${key}: ${mistake}`);
      if (!inner?.properties || silent.has(key) || !isMap(value)) return here;
      return [...here, ...differences(value, inner, `${path}${key}.`)];
    }),
  ];
}

function mistakesIn(comment: string): string[] {
  if (comment === '') return ['no comment'];
  return /Default: [^.]*\.?$/.test(comment.replaceAll('\n', ' '))
    ? ['it does not say when to change it']
    : [];
}

const refused: [string, string[], RegExp][] = [
  ['a unit that does not exist', ['--set', 'agents.x=1'], /'agents' not allowed/],
  ['a key with a typo', ['--set', 'agent.tolerationz=[]'], /at '\/agent': .*'tolerationz' not allowed/],
  [
    'a filter with a typo',
    ['--set', 'config.agent.mirror.filters[0].namspace=shop'],
    /at '\/config\/agent\/mirror\/filters\/0': .*'namspace' not allowed/,
  ],
  ['an empty filter', ['--set-json', 'config.agent.mirror.filters=[{}]'], /filters\/0.*minProperties/],
  ['a text for a switch', ['--set-string', 'agent.metrics.enabled=yes'], /at '\/agent\/metrics\/enabled'/],
  ['a mode that does not exist', ['--set', 'certificates.mode=cert-manager'], /at '\/certificates\/mode'/],
  ['a path where no metrics are', ['--set', 'agent.metrics.path=/m'], /at '\/agent\/metrics\/path'/],
  ['a short token', ['--set', 'processing.api.token=short'], /at '\/processing\/api\/token'/],
  ['one name for all images', ['--set', 'image.name=x'], /at '\/image': .*'name' not allowed/],
  [
    'a TLS mode that does not exist',
    ['--set', 'config.agent.tls.mode=on'],
    /at '\/config\/agent\/tls\/mode'/,
  ],
  [
    'a TLS mode beside the one that decides about a capability',
    ['--set', 'agent.config.tls.mode=calls'],
    /agent\.config\.tls: .*\. Write config\.agent\.tls\.mode/,
  ],
  [
    'autoscaling by nothing',
    ['--set', 'processing.autoscaling.enabled=true,processing.autoscaling.targetCPUUtilizationPercentage=0'],
    /processing\.autoscaling: nothing says when to scale\. Write/,
  ],
  [
    'autoscaling from more to less',
    ['--set', 'processing.autoscaling.enabled=true,processing.autoscaling.minReplicas=4'],
    /processing\.autoscaling: minReplicas 4 is more than maxReplicas 3\. Write/,
  ],
  [
    'a disruption budget of nothing',
    ['--set', 'processing.podDisruptionBudget.maxUnavailable=null'],
    /processing\.podDisruptionBudget: nothing says how many may go\. Write/,
  ],
  ['a port out of range', ['--set', 'processing.metrics.port=0'], /at '\/processing\/metrics\/port'/],
  [
    'several replicas on one volume',
    ['--set', 'processing.persistence.enabled=true,processing.replicaCount=2'],
    /processing\.persistence: one volume cannot serve several replicas.*\. Write replicaCount: 1/,
  ],
  [
    'certificates of its own for two namespaces',
    ['--set', 'agent.namespace=podmirror-agent'],
    /agent\.namespace: .*\. Write a ClusterIssuer/,
  ],
  [
    'an existing Secret without a name',
    ['--set', 'certificates.mode=existingSecret'],
    /certificates\.existingSecret\.\w+: it is missing\. Write/,
  ],
];
for (const [what, args, message] of refused) {
  test(`refused: ${what}`, async (t) => {
    await t.throwsAsync(renderChart(args), { message });
  });
}
