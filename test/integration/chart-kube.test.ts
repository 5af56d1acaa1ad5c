/** The chart and manifests/base in a real API server with cert-manager. Nothing runs their pods. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { until } from '../harness/until.ts';
import { startCertManager } from '../kube/cert-manager.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import { BASE } from '../manifests/base-files.ts';
import { runJob } from '../manifests/job.ts';
import { releaseIn } from '../manifests/release.ts';
import { renderChart, valuesFile } from '../manifests/render-chart.ts';

let kube: Kube;
let stopCertManager: () => Promise<void>;

test.before(async () => {
  kube = await startKube();
  stopCertManager = await startCertManager(kube);
});
test.after.always(async () => {
  await stopCertManager?.();
  await kube?.stop();
});

const kubectl = (args: string[], input?: string) => kube.kubectl(args, input);

const dryRun = [
  'apply',
  '--server-side',
  '--dry-run=server',
  '--validate=strict',
  '--warnings-as-errors',
  '-f',
  '-',
];
const namespaces = ['podmirror', 'podmirror-agent'].map((name) => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name },
}));

const renderings: [string, () => Promise<string>][] = [
  ['manifests/base', () => kubectl(['kustomize', BASE])],
  ...['self-signed', 'existing-secrets', 'persistent', 'two-namespaces'].map(
    (name): [string, () => Promise<string>] => [
      `overlays/${name}`,
      () => kubectl(['kustomize', join(BASE, '..', 'overlays', name)]),
    ],
  ),
  ['the chart', () => renderChart()],
  ['the chart with values for the vendor’s', () => renderChart(['--values', valuesFile('vendor')])],
  ['the chart with every option', () => renderChart(['--values', valuesFile('all')])],
];
for (const [what, render] of renderings) {
  test.serial(`the API server takes ${what}, and warns of nothing`, async (t) => {
    const objects = await render();
    // A dry run makes no namespace for what comes after it.
    await kubectl(
      ['apply', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items: namespaces }),
    );
    const { code, stderr } = await kube.kubectl.attempt(dryRun, objects);
    const told = stderr.split('\n').filter((line) => !/last-applied-configuration/.test(line));
    t.deepEqual([code, told.join('\n').trim()], [0, '']);
    await kubectl(['delete', 'namespaces', 'podmirror', 'podmirror-agent', '--wait']);
  });
}

interface Template {
  spec: { template: { metadata: object; spec: object } };
}

/** What Pod Security at level `restricted` says to the pods of a workload; undefined: nothing. */
async function refusedAtRestricted(workload: string): Promise<string | undefined> {
  const found = await kubectl(['get', workload, '-n', 'podmirror', '-o', 'json']);
  const { metadata, spec } = (JSON.parse(found) as Template).spec.template;
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name: 'tried' }, spec };
  // It takes the account's token only where the account is.
  const create = ['create', '--dry-run=server', '--warnings-as-errors', '-n', 'podmirror', '-f', '-'];
  const { code, stderr } = await kube.kubectl.attempt(create, JSON.stringify(pod));
  return code === 0 ? undefined : stderr;
}

const label = (level: string) =>
  kubectl(['label', 'namespace', 'podmirror', '--overwrite', `pod-security.kubernetes.io/enforce=${level}`]);

const filters = async (): Promise<string> => {
  const path = 'jsonpath={.data.filters\\.yaml}';
  return kubectl(['get', 'configmap', 'podmirror-filters', '-n', 'podmirror', '-o', path]);
};

const caBundle = () =>
  kubectl([
    'get',
    'mutatingwebhookconfiguration',
    'podmirror-webhook',
    '-o',
    'jsonpath={.webhooks[0].clientConfig.caBundle}',
  ]);

/** Nothing here answers for the webhook, and changed filters are refused while nobody judges them. */
const withoutJudge = () => kubectl(['delete', 'validatingwebhookconfiguration', 'podmirror-webhook']);

test.serial(
  'helm install makes all of it, its certificates become Secrets, and its notes tell how to go on',
  async (t) => {
    const { code, stdout, stderr } = await releaseIn(kube).install([
      '--set=config.mutualTLS=false,config.api.token=x',
    ]);
    t.is(code, 0, stderr);
    t.snapshot(stdout.slice(stdout.indexOf('NOTES:')));
    const secrets = [
      'podmirror-ca',
      ...['agent', 'processor', 'webhook'].map((unit) => `podmirror-${unit}-tls`),
    ];
    t.truthy(
      await until(
        async () => (await kube.kubectl.attempt(['get', 'secret', '-n', 'podmirror', ...secrets])).code === 0,
        {
          timeoutMs: 30_000,
        },
      ),
    );
  },
);

// Values that are accepted, so that a file for the vendor's chart fits, and do nothing.
const meaningless: [path: string, value: unknown, alsoNamed?: RegExp][] = [
  ['config.api', { token: 'x' }],
  ['config.mutualTLS', false],
  ['config.aggregation', { wstoreMemory: 2 }],
  ['config.wcli', { logLevel: 'warn' }],
  ['config.supervisord', { a: 1 }],
  ['config.agent.mirror.tls', { enabled: true }],
  ['config.agent.loadBalancerRealIPHeader', 'X-Client-IP'],
  ['config.connector.http_inspector', { workers: 'auto' }],
  ['config.connector.per_connection_limits', { max_duration: '1m' }],
  ['config.connector.log.access_log', { enabled: true }],
  ['config.connector.log.log_file', '/var/log/x'],
  [
    'config.connector.route_config',
    { wallarm_mode: 'block', routes: [{ wallarm_partner_client_uuid: 'x' }] },
    /wallarm_partner_client_uuid in config\.connector\.route_config/,
  ],
  ['agent.metrics.type', 'VictoriaMetrics'],
  ['nameOverride', 'x'],
];

test.serial('the notes name every value that is accepted and does nothing, and no other', async (t) => {
  const notes = async (args: string[]) => {
    const { code, stdout, stderr } = await releaseIn(kube).upgrade([
      '--dry-run=client',
      '--reset-values',
      ...args,
    ]);
    t.is(code, 0, stderr);
    return stdout
      .slice(stdout.indexOf('NOTES:'))
      .split('\n')
      .filter((line) => line.startsWith('  - '));
  };
  const usual = await notes([]);
  const set = meaningless.map(([path, value]) => `--set-json=${path}=${JSON.stringify(value)}`);
  const more = (await notes(set)).filter((line) => !usual.includes(line));
  for (const [path, , alsoNamed] of meaningless) {
    t.true(
      more.some((line) => line.includes(path)),
      path,
    );
    if (alsoNamed)
      t.true(
        more.some((line) => alsoNamed.test(line)),
        String(alsoNamed),
      );
    t.false(
      usual.some((line) => line.includes(path)),
      path,
    );
  }
});

test.serial('webhook and processor run at Pod Security level restricted, the agent does not', async (t) => {
  await label('restricted');
  t.is(await refusedAtRestricted('deployment/podmirror-webhook'), undefined);
  t.is(await refusedAtRestricted('deployment/podmirror-processor'), undefined);
  t.regex(String(await refusedAtRestricted('daemonset/podmirror-agent')), /hostPID=true/);
  t.regex(
    (await releaseIn(kube).upgrade()).stdout,
    /The agent cannot run at Pod Security level restricted, .* Run kubectl label namespace podmirror --overwrite pod-security\.kubernetes\.io\/enforce=privileged/,
  );
  await label('privileged');
});

test.serial('an upgrade leaves filters alone that somebody edited, until the values change', async (t) => {
  const release = releaseIn(kube);
  await withoutJudge();
  const edited = JSON.stringify({ data: { 'filters.yaml': 'allNamespaces: true\n' } });
  await kubectl(['patch', 'configmap', 'podmirror-filters', '-n', 'podmirror', '--type=merge', '-p', edited]);
  t.like(await release.upgrade(['--set=agent.log.level=debug']), { code: 0 });
  t.is(await filters(), 'allNamespaces: true\n');
  t.true((await caBundle()).length > 0, 'what cainjector wrote is gone');
  await withoutJudge();
  t.like(await release.upgrade(['--set=config.agent.mirror.filters[0].namespace=shop']), { code: 0 });
  t.regex(await filters(), /^allNamespaces: false$(?:.*\n)*filters:\n {2}- namespace: shop$/m);
});

test.serial('filters that somebody replaced whole are left alone, and the notes say so', async (t) => {
  await withoutJudge();
  const metadata = { name: 'podmirror-filters', namespace: 'podmirror', annotations: {}, labels: {} };
  const data = { 'filters.yaml': 'allNamespaces: true\n' };
  const managed = { 'app.kubernetes.io/managed-by': 'Helm' };
  const owner = { 'meta.helm.sh/release-name': 'podmirror', 'meta.helm.sh/release-namespace': 'podmirror' };
  const object = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { ...metadata, labels: managed, annotations: owner },
    data,
  };
  await kubectl(['replace', '-f', '-'], JSON.stringify(object));
  const { code, stdout } = await releaseIn(kube).upgrade([
    '--set=config.agent.mirror.filters[0].namespace=cart',
  ]);
  t.is(code, 0);
  t.is(await filters(), 'allNamespaces: true\n');
  t.regex(stdout, /podmirror-filters was written by somebody else and is left alone/);
});

const everything =
  'all,configmaps,secrets,leases,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,persistentvolumeclaims,certificates,certificaterequests,issuers';

test.serial(
  'helm uninstall leaves nothing, neither what the webhook nor what cert-manager made',
  async (t) => {
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'podmirror-webhook' },
    };
    await kubectl(['create', '-n', 'podmirror', '-f', '-'], JSON.stringify(lease));
    for (const name of ['podmirror-intent', 'podmirror-intent-1']) {
      await kubectl(['create', 'configmap', name, '-n', 'podmirror']);
    }
    // The Job that removes is no exception to it.
    await label('restricted');
    const uninstalled = releaseIn(kube).uninstall();
    const { code, output } = await runJob(kube, 'podmirror', 'podmirror-cleanup');
    t.is(code, 0, output);
    t.like(await uninstalled, { code: 0 });

    const names = async (args: string[]) =>
      (await kubectl(['get', ...args, '-o', 'name'])).split('\n').filter((name) => name !== '');
    const left = async () => {
      const own = await names([everything, '-n', 'podmirror']);
      const ofAll =
        'clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,namespaces';
      return [
        ...own,
        ...(await names([ofAll, '-l', 'app.kubernetes.io/part-of=podmirror'])),
        ...(await names(['-A', 'clusterroles'])),
      ]
        .filter((name) => own.includes(name) || name.includes('podmirror'))
        .sort();
    };
    // These two are in every namespace. Pods take a moment to go, and nobody ends them here but the API server.
    const expected = ['configmap/kube-root-ca.crt', 'serviceaccount/default'];
    await until(async () => (await left()).length === expected.length, { timeoutMs: 60_000 });
    t.deepEqual(await left(), expected);
  },
);

test.serial('manifests/base is removed with its namespace', async (t) => {
  await kubectl(['apply', '-k', BASE]);
  await kubectl(['delete', '-k', BASE, '--wait', '--timeout=60s']);
  t.not((await kube.kubectl.attempt(['get', 'namespace', 'podmirror'])).code, 0);
});

test('the file that the cleanup runs is the one in the chart', async (t) => {
  const file = readFileSync(join(BASE, '..', 'chart', 'files', 'remove-leftovers.js'), 'utf8');
  const lines = file.split('\n').filter((line) => line !== '');
  const rendered = await renderChart(['--show-only=templates/cleanup.yaml']);
  for (const line of lines) t.true(rendered.includes(line));
});
