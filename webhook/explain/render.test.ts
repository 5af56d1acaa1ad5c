import test from 'ava';
import type { FakeCluster } from '../admission/fake/view.ts';
import { deployment, viewOf } from './fake/view.ts';
import { explainNamespace } from './namespace.ts';
import { explainPod } from './pod.ts';
import { renderExplanation } from './render.ts';

const web = {
  namespace: 'shop',
  name: 'web-7d4b-x7k2p',
  ...deployment('web'),
  containers: ['migrate', 'web', 'proxy'],
  nodeName: 'node-1',
};
const text = (cluster: FakeCluster, options?: Parameters<typeof viewOf>[1]) =>
  `\n${renderExplanation(explainPod(viewOf({ pods: [web], ...cluster }, options), 'shop', web.name))}`;
const filters = `filters:
  - {namespace: 'shop*', container_name: web}
  - {namespace: shop, pod_labels: {team: 'backend,ops'}}
  - {pod_labels: {app: web}, container_name: proxy, node_name: 'pool-*'}
`;

test('a pod of an enabled namespace', (t) => {
  t.snapshot(text({ namespaces: { shop: 'enabled' }, filters }));
});

test('a pod that filters choose, one of them for other nodes, with an ephemeral container', (t) => {
  t.snapshot(text({ filters, pods: [{ ...web, ephemeralContainers: ['debug'] }] }));
});

test('a pod that nothing asks for', (t) => {
  t.snapshot(text({}));
});

test('a pod that is mirrored on other nodes only', (t) => {
  t.snapshot(text({ filters: 'filters: [{node_name: pool-*}]' }));
});

test('a pod that is not scheduled yet', (t) => {
  t.snapshot(text({ filters, pods: [{ ...web, nodeName: undefined, phase: 'Pending' }] }));
});

test('a pod whose namespace was disabled a moment ago, with filters that are refused, before all was read', (t) => {
  const cluster = {
    namespaces: { shop: 'disabled' },
    filters: 'filters: [{namespce: shop}, {}]',
    synced: false,
  };
  t.snapshot(text(cluster, { written: { namespaces: { shop: 'enabled' } } }));
});

test('a finished pod, and no ConfigMap', (t) => {
  t.snapshot(text({ pods: [{ ...web, phase: 'Succeeded' }] }, { written: null }));
});

test('a namespace', (t) => {
  const { labels, owner } = deployment('api', '9c1f');
  const api = { ...web, owner, labels: { ...labels, team: 'ops' }, containers: ['api'] };
  const job = {
    ...web,
    name: 'once',
    labels: {},
    owner: undefined,
    phase: 'Succeeded',
    containers: ['once'],
  };
  const pods = [web, { ...web, name: 'web-7d4b-zzzzz' }, { ...api, name: 'api-9c1f-aaaaa' }, job];
  const view = viewOf(
    { namespaces: { shop: 'yes' }, filters, pods },
    { written: { filters: 'filters: []' } },
  );
  t.snapshot(`\n${renderExplanation(explainNamespace(view, 'shop'))}`);
});

test('a namespace while there is no ConfigMap', (t) => {
  const view = viewOf({ pods: [web] }, { written: null });
  t.snapshot(`\n${renderExplanation(explainNamespace(view, 'shop'))}`);
});

test('a namespace without pods', (t) => {
  t.snapshot(`\n${renderExplanation(explainNamespace(viewOf(), 'shop'))}`);
});

test('a pod that is not there', (t) => {
  t.snapshot(`\n${renderExplanation(explainPod(viewOf({ pods: [web] }), 'shop', 'web'))}`);
});

test('nothing that strangers wrote steers the terminal', (t) => {
  const evil = '\u001b[31m\u202e\u0007evil\nline';
  const pod = { ...web, containers: [evil], labels: { [evil]: evil }, nodeName: evil };
  const view = viewOf({ filters: `filters: [{namespace: shop}]`, pods: [pod] });
  const grant = { containers: ['*'], nodes: ['*'], because: evil };
  const intent = view.intent();
  for (const id of intent?.classes.keys() ?? []) intent?.classes.set(id, [grant]);
  const rendered = renderExplanation(explainPod(view, 'shop', web.name));
  t.notRegex(rendered.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  t.notRegex(rendered, /^line/m);
});
