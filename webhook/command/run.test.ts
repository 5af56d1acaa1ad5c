import test, { type ExecutionContext } from 'ava';
import { createApi } from '../cluster/api.ts';
import { plainConnection } from '../cluster/connection.ts';
import {
  type Asked,
  configMapObject,
  type FakeApiServer,
  namespaceObject,
  podObject,
  startFakeApiServer,
} from '../cluster/fake/apiserver.ts';
import { metaOf } from '../intent/class.ts';
import { encodeIntent, shardName } from '../intent/document.ts';
import { filtersOf, settings } from '../intent/fake/facts.ts';
import { Refusal } from '../refusal.ts';
import { runCommand } from './run.ts';

const own = '/api/v1/namespaces/podmirror/configmaps';
const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-7d4b', uid: 'u-web' };
const labels = { app: 'web', 'pod-template-hash': '7d4b' };
const filters = 'filters: [{namespace: shop, container_name: web}]';
const grant = { containers: ['web'], nodes: ['*'], because: 'filter 1 (namespace shop, container web)' };

function fill(server: FakeApiServer): void {
  for (const name of ['shop', 'bank', 'podmirror'])
    server.put(`/api/v1/namespaces/${name}`, namespaceObject(name));
  for (const name of ['web-7d4b-a', 'web-7d4b-b']) {
    const pod = podObject({ name, labels, owner, containers: ['web', 'proxy'] });
    server.put(`/api/v1/namespaces/shop/pods/${name}`, pod);
  }
  server.put('/api/v1/namespaces/bank/pods/api', podObject({ namespace: 'bank', name: 'api' }));
  server.put(`${own}/podmirror-filters`, configMapObject('podmirror-filters', { 'filters.yaml': filters }));
  const meta = metaOf(filtersOf(filters), settings, 2);
  encodeIntent({ meta, classes: new Map([['shop.d0bf02bbc2f35f3d', [grant]]]) }).forEach((data, index) => {
    server.put(`${own}/${shardName(index)}`, configMapObject(shardName(index), data));
  });
}

async function world(t: ExecutionContext, allows?: (asked: Asked) => boolean) {
  const server = await startFakeApiServer(allows ? { allows } : {});
  t.teardown(server.close);
  fill(server);
  const connection = plainConnection(server.url);
  t.teardown(connection.close);
  const files = new Map<string, string>();
  let closed = 0;
  const deps = {
    version: '1.2.3',
    readText(file: string) {
      const text = files.get(file);
      if (text === undefined) throw new Error('ENOENT: no such file or directory');
      return text;
    },
    connect: async () => ({ api: createApi({ connection, timeoutMs: 5000 }), close: () => void closed++ }),
  };
  const run = (...args: string[]) => runCommand(args, deps);
  /** The message and exit code of a refusal. */
  const refused = async (...args: string[]) => {
    const error = await t.throwsAsync(run(...args), { instanceOf: Refusal });
    return `${error.exitCode}: ${error.message}`;
  };
  return { server, files, run, refused, closed: () => closed };
}

const reads = ({ asked }: FakeApiServer) =>
  asked.map(({ verb, path, query }) => `${verb} ${path} ${query.get('fieldSelector') ?? ''}`.trim()).sort();

/** As kubectl would write it. */
const dumpOf = (server: FakeApiServer) => {
  const paths = ['/api/v1/namespaces/shop', '/api/v1/namespaces/bank', '/api/v1/namespaces/podmirror'];
  const pods = ['shop/pods/web-7d4b-a', 'shop/pods/web-7d4b-b', 'bank/pods/api'].map(
    (path) => `/api/v1/namespaces/${path}`,
  );
  const items = [...paths, ...pods, `${own}/podmirror-filters`].map((path) => server.get(path));
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
};

test('a pod is explained from what the API server says', async (t) => {
  const { run, closed } = await world(t);
  const { output, exitCode } = await run('explain', 'shop/web-7d4b-a');
  t.is(exitCode, 0);
  t.snapshot(`\n${output}`);
  t.is(closed(), 1);
});

test('a pod is explained by the narrowest requests', async (t) => {
  const { run, server } = await world(t);
  await run('explain', 'shop/web-7d4b-a');
  t.deepEqual(reads(server), [
    'get /api/v1/namespaces/podmirror/configmaps/podmirror-filters',
    'get /api/v1/namespaces/podmirror/configmaps/podmirror-intent',
    'get /api/v1/namespaces/podmirror/configmaps/podmirror-intent-1',
    'get /api/v1/namespaces/shop',
    'list /api/v1/namespaces/shop/pods',
  ]);
});

test('a namespace is explained, as JSON for programs', async (t) => {
  const { run } = await world(t);
  const { output } = await run('explain', 'shop', '--json');
  const explanation = JSON.parse(output);
  t.is(explanation.kind, 'namespace');
  t.is(explanation.classes[0].pods, 2);
});

test('what is not there is answered with what was meant, and 1', async (t) => {
  const { run } = await world(t);
  t.deepEqual(await run('explain', 'shop/web'), {
    output: 'there is no pod web in namespace shop. Did you mean shop/web-7d4b-a or shop/web-7d4b-b?\n',
    exitCode: 1,
  });
  t.deepEqual(await run('explain', 'shopp'), {
    output: 'there is no namespace shopp. Did you mean shop?\n',
    exitCode: 1,
  });
});

test("without an intent ConfigMap, podmirror's own namespace is asked for", async (t) => {
  const { run } = await world(t);
  const { output } = await run('explain', 'shop/web-7d4b-a', '--namespace', 'other');
  t.regex(
    output.replaceAll(/\s+/g, ' '),
    /podmirror-intent is not there in namespace other\. If podmirror runs in another, write --namespace/,
  );
});

test('keys and excluded namespaces may be others', async (t) => {
  const { run, server } = await world(t);
  server.put('/api/v1/namespaces/shop', namespaceObject('shop', { 'example.com/mirror': 'enabled' }));
  const rule = async (...args: string[]) =>
    JSON.parse((await run('explain', 'shop/web-7d4b-a', '--json', ...args)).output).verdict.rule;
  t.is(await rule(), 'filter');
  t.is(await rule('--label-key', 'example.com/mirror'), 'namespace-enabled');
  t.is(await rule('--exclude-namespace', 'bank', '--exclude-namespace', 'shop'), 'namespace-excluded');
});

test('filters are checked alone, without asking the API server', async (t) => {
  const { run, files, server } = await world(t);
  files.set('new.yaml', 'filters: [{namespace: bank}]');
  t.deepEqual(await run('check', 'new.yaml'), { output: 'new.yaml: in order\n', exitCode: 0 });
  t.deepEqual(server.asked, []);
});

test('refused filters end with 1', async (t) => {
  const { run, files } = await world(t);
  files.set('-', 'filters: [{namespce: bank}]');
  const { output, exitCode } = await run('check', '-', '--against', 'cluster');
  t.is(exitCode, 1);
  t.regex(
    output,
    /^standard input: refused, 1 problem\n {2}- filters\[0\]\.namespce: no such key\. Write namespace\n$/,
  );
});

test('filters are compared with the cluster, or with a dump of it, to the same effect', async (t) => {
  const { run, files, server } = await world(t);
  files.set('new.yaml', 'filters: [{namespace: bank}]');
  const { output, exitCode } = await run('check', 'new.yaml', '--against', 'cluster');
  t.is(exitCode, 0);
  t.snapshot(`\n${output}`);
  files.set('dump.json', dumpOf(server));
  const dumped = await run('check', 'new.yaml', '--against', 'dump.json');
  t.is(dumped.output, output.replace('the cluster', 'dump.json'));
});

test('pods are read in pages, and from the start when a page has come too late', async (t) => {
  const { run, files, server } = await world(t);
  for (let index = 0; index < 1200; index++) {
    server.put(`/api/v1/namespaces/bank/pods/p${index}`, podObject({ namespace: 'bank', name: `p${index}` }));
  }
  files.set('new.yaml', 'filters: [{namespace: bank}]');
  server.fault(
    { kind: 'status', code: 410, reason: 'Expired' },
    ({ query }) => query.get('continue') === '500',
  );
  const { output } = await run('check', 'new.yaml', '--against', 'cluster', '--json');
  t.is(JSON.parse(output).difference.pods.mirroredAfter, 1201);
  t.is(server.asked.filter(({ resource }) => resource === 'pods').length, 5);
});

test('odd objects of a dump are left out and counted', async (t) => {
  const { run, files, server } = await world(t);
  const items = [{ kind: 'Pod', metadata: {} }, { kind: 'Pod' }, { kind: 'Node' }, null, 7];
  const odd = JSON.stringify({ kind: 'List', items });
  files.set('dump.yaml', `${dumpOf(server)}\n---\n${odd}\n`);
  files.set('new.yaml', 'filters: []');
  const { output } = await run('check', 'new.yaml', '--against', 'dump.yaml', '--json');
  const { notes, difference } = JSON.parse(output);
  t.is(notes.length, 1);
  t.regex(notes[0], /^2 pods are left out: This is no pod/);
  t.is(difference.pods.changed, 2);
});

const dumps: [string, string, RegExp][] = [
  [
    'without namespaces',
    '{"kind": "PodList", "items": []}',
    /holds no namespaces\. Write it with kubectl get namespaces,pods/,
  ],
  ['that is no YAML', 'items: [', /^78: dump: it is no YAML/],
  ['that is not there', '', /^78: read dump: ENOENT.*Write the path of a file/],
];

for (const [title, text, message] of dumps) {
  test(`a dump ${title} is refused with what to write`, async (t) => {
    const { refused, files } = await world(t);
    files.set('new.yaml', '');
    if (text !== '') files.set('dump', text);
    t.regex(await refused('check', 'new.yaml', '--against', 'dump'), message);
  });
}

test('a dump without pods or ConfigMaps says so', async (t) => {
  const { run, files } = await world(t);
  files.set('new.yaml', '');
  files.set('dump', 'kind: Namespace\nmetadata: {name: shop}\n');
  const { output } = await run('check', 'new.yaml', '--against', 'dump', '--json');
  t.deepEqual(
    JSON.parse(output).notes.map((note: string) => note.split('.')[0]),
    [
      'it holds no pods',
      'it holds no ConfigMaps, so its filters are not known',
      'there are no filters now: the comparison is with none',
    ],
  );
});

const denied: [args: string[], allows: (asked: Asked) => boolean, message: RegExp][] = [
  [
    ['check', 'new.yaml', '--against', 'cluster'],
    ({ resource }) => resource !== 'pods',
    /^69: you may not list pods\. Ask for a role that allows it; try: kubectl auth can-i list pods -A$/,
  ],
  [
    ['check', 'new.yaml', '--against', 'cluster'],
    ({ resource }) => resource !== 'namespaces',
    /try: kubectl auth can-i list namespaces$/,
  ],
  [
    ['explain', 'shop/a'],
    ({ resource }) => resource !== 'pods',
    /try: kubectl auth can-i list pods -n shop$/,
  ],
  [
    ['explain', 'shop/a'],
    ({ resource }) => resource !== 'configmaps',
    /you may not get configmaps\/podmirror-\w+ in namespace podmirror\. .*can-i get configmaps\/podmirror-\w+ -n podmirror$/,
  ],
  [['explain', 'shop/a'], ({ resource }) => resource !== 'namespaces', /can-i get namespaces\/shop$/],
];

for (const [args, allows, message] of denied) {
  test(`what may not be read is named: ${message.source.slice(-50)}`, async (t) => {
    const { refused, files } = await world(t, allows);
    files.set('new.yaml', '');
    t.regex(await refused(...args), message);
  });
}

test('who may list but not get is answered too, as the ServiceAccount of the webhook', async (t) => {
  const { run } = await world(t, ({ verb }) => verb === 'list');
  const { output } = await run('explain', 'shop/web-7d4b-a', '--json');
  t.is(JSON.parse(output).verdict.rule, 'filter');
  t.true(JSON.parse(output).stored.agrees);
});

test('who may read one namespace only is answered about a pod of it', async (t) => {
  const { run } = await world(t, ({ resource, namespace, name }) =>
    resource === 'namespaces' ? name === 'shop' : namespace !== undefined,
  );
  t.is((await run('explain', 'shop/web-7d4b-a')).exitCode, 0);
});

test('an API server that does not answer', async (t) => {
  const { server, refused } = await world(t);
  await server.close();
  t.regex(await refused('explain', 'shop/a'), /^69: .*ECONNREFUSED.*See that kubectl get namespaces works/);
});

test('help and version', async (t) => {
  const { run } = await world(t);
  t.snapshot(`\n${(await run('--help')).output}`);
  t.is((await run('--version')).output, '1.2.3\n');
});
