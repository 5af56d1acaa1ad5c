/** Every way to ask for mirroring, on and off again: what is seen, and that nothing else is. */
import test from 'ava';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { whyNoCgroups } from '../harness/cgroup.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { type Filter, filtersManifest, setFilters } from './filters.ts';
import { importImages, installChart, type Podmirror } from './install.ts';
import { seenAfterAll } from './silence.ts';
import {
  attackUrl,
  type ClientPod,
  MIRROR_ANNOTATION,
  MIRROR_LABEL,
  namespaceObject,
  runWorkloads,
  startClient,
} from './workload.ts';

let cluster: Cluster;
let podmirror: Podmirror;
let client: ClientPod;

// Two nginx in one pod, each at a port of its own.
const shop = { nginx: 80, side: 8080 };

test.before(async () => {
  if (whyNoCgroups()) return;
  cluster = await startCluster();
  const namespaces = [
    namespaceObject('shop'),
    namespaceObject('neighbour'),
    namespaceObject('witness', { [MIRROR_LABEL]: 'enabled' }),
  ];
  [podmirror, client] = await Promise.all([
    importImages(cluster).then(() => installChart(cluster)),
    startClient(cluster),
    runWorkloads(cluster, namespaces, [
      { namespace: 'shop', name: 'web', containers: shop, annotations: { team: 'payments' } },
      { namespace: 'neighbour', name: 'web', containers: shop },
      { namespace: 'witness', name: 'web', containers: { nginx: 80 } },
    ]),
  ]);
  await podmirror.agent.mirrors('witness', ['nginx']);
});

test.after.always(async () => cluster?.stop());

interface Row {
  title: string;
  on(): Promise<unknown>;
  off(): Promise<unknown>;
  /** Default: both. */
  containers?: readonly (keyof typeof shop)[];
  /** What log, coverage and Events say; after "mirroring …: ". */
  because: RegExp;
}

const kubectl = (...args: string[]) => cluster.kubectl(args);

const filterRow = (title: string, filter: () => Filter, rest: Partial<Row> = {}): Row => ({
  title,
  on: () => setFilters(cluster.kubectl, [filter()]),
  off: () => setFilters(cluster.kubectl, []),
  because: /filter 1/,
  ...rest,
});

const patchTemplate = async (annotations: Record<string, string | null>) => {
  const patch = JSON.stringify({ spec: { template: { metadata: { annotations } } } });
  await kubectl('patch', 'deployment/web', '-n', 'shop', '--patch', patch);
  await kubectl('rollout', 'status', 'deployment/web', '-n', 'shop', '--timeout=60s');
};

/** Not the Service: after a rollout it leads to the old pod for a moment, and that one answers. */
const newestAddress = () => {
  const newest = ['--sort-by=.metadata.creationTimestamp', '-o', 'jsonpath={.items[-1:].status.podIP}'];
  return kubectl('get', 'pods', '-n', 'shop', ...newest);
};

const rows: Row[] = [
  {
    title: 'the label of a namespace',
    on: () => kubectl('label', 'namespace/shop', `${MIRROR_LABEL}=enabled`),
    off: () => kubectl('label', 'namespace/shop', `${MIRROR_LABEL}-`),
    because: /namespace shop is labelled wallarm-mirror=enabled/,
  },
  {
    title: "the annotation of a Deployment's template",
    on: () => patchTemplate({ [MIRROR_ANNOTATION]: 'true' }),
    off: () => patchTemplate({ [MIRROR_ANNOTATION]: null }),
    because: /the pod is annotated mirror\.wallarm\.com\/enabled=true/,
  },
  filterRow('a filter by namespace', () => ({ namespace: 'sh?p' })),
  filterRow('a filter by pod label', () => ({ namespace: '!neighbour', pod_labels: { app: 'web,api' } })),
  filterRow('a filter by pod annotation', () => ({ pod_annotations: { team: 'pay*' } })),
  filterRow('a filter by container', () => ({ namespace: 'shop', container_name: 'side' }), {
    containers: ['side'],
  }),
  filterRow('a filter by node', () => ({ namespace: 'shop', node_name: cluster.node.name })),
];

for (const [index, { title, on, off, containers = ['nginx', 'side'], because }] of rows.entries()) {
  rootTest(`${title}: on and off again`, async (t) => {
    const { agent, record } = podmirror;
    await agent.mirrors('shop', []);
    await on();
    for (const target of await agent.mirrors('shop', containers)) t.regex(target.because ?? '', because);

    const ask = async (when: string) => {
      const paths = Object.keys(shop).map((container) => `/row-${index}-${when}-${container}`);
      const neighbours = paths.map((path) => `${path}-neighbour`);
      const address = await newestAddress();
      const statuses = await client.get(
        ...Object.values(shop).map((port, at) => attackUrl(`${address}:${port}`, paths[at] ?? '')),
        ...Object.values(shop).map((port, at) => attackUrl(`web.neighbour:${port}`, neighbours[at] ?? '')),
      );
      t.deepEqual(statuses, [200, 200, 200, 200]);
      return seenAfterAll([...paths, ...neighbours], { client, record, witness: 'web.witness' });
    };
    t.deepEqual(
      await ask('on'),
      containers.map((container) => `/row-${index}-on-${container}`),
    );
    for (const container of containers) {
      t.like(await record.attackOn(`/row-${index}-on-${container}`), {
        target: { namespace: 'shop', container, workload: 'Deployment/web' },
        clientAddress: client.address,
        status: 200,
      });
    }

    await off();
    await agent.mirrors('shop', []);
    t.deepEqual(await ask('off'), []);
  });
}

rootTest('a bad filter is refused by kubectl apply, and what was in force stays so', async (t) => {
  await setFilters(cluster.kubectl, [{ namespace: 'shop' }]);
  await podmirror.agent.mirrors('shop', ['nginx', 'side']);
  const bad = 'filters:\n- namespace: shop-[\n- pod_lables: {app: web}\n';
  const { code, stderr } = await cluster.kubectl.attempt(['apply', '-f', '-'], filtersManifest(bad));
  t.not(code, 0);
  const words = stderr.split(' denied the request: ')[1];
  t.deepEqual(words?.trim().split('\n'), [
    '2 problems in ConfigMap podmirror/podmirror-filters:',
    'filters[0].namespace: "shop-[": its [ is not closed. Write ] where it ends, or \\[ for the character itself',
    'filters[1].pod_lables: no such key. Write pod_labels',
  ]);
  await podmirror.agent.mirrors('shop', ['nginx', 'side']);
  await setFilters(cluster.kubectl, []);
});

rootTest('log and Events say why a target is attached, and why one is refused', async (t) => {
  const { agent } = podmirror;
  const pod = await kubectl('get', 'pods', '-n', 'shop', '-o', 'jsonpath={.items[0].metadata.name}');
  await setFilters(cluster.kubectl, [{ namespace: 'shop', container_name: 'side' }]);
  await agent.mirrors('shop', ['side']);
  await setFilters(cluster.kubectl, [{ namespace: 'shop', node_name: 'edge-*' }]);
  await agent.mirrors('shop', []);

  const { name } = cluster.node;
  const edge = `filter 1 (namespace shop, node edge-*) asks for it on nodes edge-*, and this is ${name}`;
  const side = 'filter 1 (namespace shop, container side)';
  const logged = [
    `mirroring shop/${pod} container side: ${side}`,
    `not mirroring shop/${pod} container nginx: ${side} names side only`,
    `not mirroring shop/${pod}: ${edge}`,
  ];
  t.deepEqual(await missingIn(logged, agent.log), []);
  const told = [
    `Mirroring pod/${pod} mirroring container side: ${side}`,
    `NotMirroring pod/${pod} not mirroring container nginx: ${side} names side only`,
    `NotMirroring pod/${pod} not mirroring: ${edge}`,
  ];
  const events = async () => (await kubectl('get', 'events', '-n', 'shop')).replaceAll(/ +/g, ' ');
  t.deepEqual(await missingIn(told, events), []);
  await setFilters(cluster.kubectl, []);
});

/** Of these sentences, those that do not come; Events of a busy agent take some seconds. */
async function missingIn(sentences: readonly string[], read: () => Promise<string>): Promise<string[]> {
  let missing = [...sentences];
  await until(
    async () => {
      const text = await read();
      missing = sentences.filter((sentence) => !text.includes(sentence));
      return missing.length === 0;
    },
    { timeoutMs: 30_000, everyMs: 500 },
  );
  return missing;
}
