/** The agent on a node of a real API server: pods and intent are objects there, cgroups, mounts and nginx are real here. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { type Nginx, startNginx } from '../harness/nginx.ts';
import { idOfLine, type PrintedLine, parseLines } from '../harness/printed.ts';
import { openConnection } from '../harness/raw-connection.ts';
import { rootTest } from '../harness/root-test.ts';
import type { Service } from '../harness/service.ts';
import { until } from '../harness/until.ts';
import { readIntent } from '../kube/agent-view.ts';
import { AGENT, type ClusterAgent, createAgentAccount, openClusterAgent } from '../kube/cluster-agent.ts';
import { startIntentController } from '../kube/intent-controller.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import {
  type ContainerCgroup,
  createNodeCgroups,
  type NodeCgroups,
  type PodCgroups,
} from '../kube/node-cgroups.ts';
import { container, podManifest } from '../kube/pods.ts';

const NODE = 'node-a';
// Between a pod's cgroup and its first container a runtime makes the sandbox and its network.
const SANDBOX_MS = 300;
let kube: Kube;
let controller: Service;
let node: NodeCgroups;

test.before(async () => {
  kube = await startKube();
  await kube.kubectl(['create', 'namespace', AGENT.namespace]);
  await createAgentAccount(kube);
  controller = await startIntentController(kube, AGENT.namespace);
  node = createNodeCgroups();
});
test.after.always(async () => {
  await controller?.stop();
  await node?.remove();
  await kube?.stop();
});

interface RunningPod {
  namespace: string;
  name: string;
  uid: string;
  cgroups: PodCgroups;
}

let namespaces = 0;
async function createNamespace(labels: Record<string, string> = {}): Promise<string> {
  const name = `shop-${++namespaces}`;
  const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  await kube.kubectl(['create', '-f', '-'], JSON.stringify(object));
  return name;
}

async function createPod(
  namespace: string,
  {
    name = `web-${randomUUID().slice(0, 8)}`,
    containers = ['web'],
    labels = {},
    nodeName = NODE,
    cgroups = node,
  } = {},
): Promise<RunningPod> {
  const manifest = podManifest({ namespace, name, containers, labels, nodeName });
  const made = await kube.kubectl(['create', '-o', 'json', '-f', '-'], JSON.stringify(manifest));
  const { uid } = (JSON.parse(made) as { metadata: { uid: string } }).metadata;
  return { namespace, name, uid, cgroups: cgroups.pod(uid) };
}

async function applyFilters(yaml: string): Promise<void> {
  const metadata = { name: 'podmirror-filters', namespace: AGENT.namespace };
  const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'filters.yaml': yaml } };
  await kube.kubectl(['apply', '-f', '-'], JSON.stringify(configMap));
}

async function patchStatus({ namespace, name }: RunningPod, status: object): Promise<void> {
  const patch = JSON.stringify({ status });
  await kube.kubectl([
    'patch',
    'pod',
    '-n',
    namespace,
    name,
    '--subresource=status',
    '--type=merge',
    '-p',
    patch,
  ]);
}

const statusOf = (name: string, containerID: string) => ({
  name,
  containerID,
  image: 'nothing:1',
  imageID: '',
  ready: true,
  restartCount: 0,
  state: { running: {} },
});

/**
 * Creates a pod whose class is in the intent when it comes: at admission the webhook writes a new class before the pod is
 * there; nothing is admitted here, so another pod of the class goes before it.
 */
async function createKnownPod(
  namespace: string,
  options: Parameters<typeof createPod>[1] = {},
): Promise<RunningPod> {
  await createPod(namespace, { ...options, name: `before-${randomUUID().slice(0, 8)}`, nodeName: 'node-b' });
  await untilAsked(namespace);
  const pod = await createPod(namespace, options);
  await sleep(SANDBOX_MS);
  return pod;
}

async function untilAsked(namespace: string): Promise<void> {
  const isAsked = async () =>
    [...(await readIntent(kube.kubectl)).classes.keys()].some((id) => id.startsWith(`${namespace}.`));
  if (!(await until(isAsked, { timeoutMs: 10_000, everyMs: 50 })))
    throw new Error(`nothing asks for ${namespace}`);
}

async function startContainer(
  t: ExecutionContext,
  pod: RunningPod,
  name = 'web',
): Promise<{ cgroup: ContainerCgroup; nginx: Nginx }> {
  const cgroup = pod.cgroups.container(name);
  const nginx = await startNginx({ cgroup });
  t.teardown(() => nginx.stop());
  return { cgroup, nginx };
}

async function get(port: number, id: string): Promise<void> {
  const connection = await openConnection(port);
  await connection.get('/text', id);
  connection.close();
}

const linesSoFar = (agent: ClusterAgent): PrintedLine[] => {
  const text = agent.stdout();
  return parseLines(text.slice(0, text.lastIndexOf('\n') + 1));
};
const idsSoFar = (agent: ClusterAgent) => linesSoFar(agent).map(idOfLine);
const sees = (agent: ClusterAgent, id: string, timeoutMs = 5000) =>
  until(() => linesSoFar(agent).find((line) => idOfLine(line) === id), { timeoutMs });

rootTest('label a namespace, see its traffic; take the label away, and nothing more is seen', async (t) => {
  const [namespace, other] = [await createNamespace(), await createNamespace()];
  const agent = await openClusterAgent(t, kube, { node: NODE });
  const [pod, neighbour] = [await createPod(namespace), await createPod(other)];
  const [web, silent] = [await startContainer(t, pod), await startContainer(t, neighbour)];
  await get(web.nginx.port, 'before');
  await kube.kubectl(['label', 'namespace', namespace, 'wallarm-mirror=enabled']);
  const subject = `${namespace}/${pod.name} container web`;
  t.true(
    await agent.logs(new RegExp(`info +mirroring ${subject}: namespace ${namespace} is labelled`)),
    agent.stderr(),
  );
  await get(web.nginx.port, 'mirrored');
  await get(silent.nginx.port, 'neighbour');
  const line = await sees(agent, 'mirrored');
  t.like(line?.workload, {
    name: `${namespace}/${pod.name}/web`,
    namespace,
    pod: pod.name,
    podUid: pod.uid,
    container: 'web',
    workload: `Pod/${pod.name}`,
  });
  const open = await openConnection(web.nginx.port);
  await open.get('/text', 'open');
  t.truthy(await sees(agent, 'open'));
  await kube.kubectl(['label', 'namespace', namespace, 'wallarm-mirror-']);
  t.true(await agent.logs(new RegExp(`released ${subject}: nothing asks for it any more`)), agent.stderr());
  await open.get('/text', 'after');
  open.close();
  await get(web.nginx.port, 'anew');
  agent.signal('SIGTERM');
  t.is(await agent.ended, 0, agent.stderr());
  t.deepEqual(idsSoFar(agent), ['mirrored', 'open']);
});

rootTest('the first request of a new pod is seen, twenty times out of twenty', async (t) => {
  const namespace = await createNamespace({ 'wallarm-mirror': 'enabled' });
  const agent = await openClusterAgent(t, kube, { node: NODE });
  const wanted: [string, string][] = [];
  await createKnownPod(namespace, { name: 'known' });
  for (let n = 0; n < 20; n++) {
    const pod = await createPod(namespace, { name: `new-${n}` });
    pod.cgroups.sandbox();
    await sleep(SANDBOX_MS);
    const { nginx } = await startContainer(t, pod);
    await get(nginx.port, `first-${n}`);
    wanted.push([`first-${n}`, `${namespace}/new-${n}/web`]);
  }
  const seen = () => linesSoFar(agent).map((line): [string, string] => [idOfLine(line), line.workload.name]);
  await until(() => seen().length === wanted.length, { timeoutMs: 12_000 });
  t.deepEqual(seen().sort(), wanted.sort());
});

rootTest('of two containers only the chosen one is seen, from its first request on', async (t) => {
  const namespace = await createNamespace();
  await applyFilters(`filters: [{namespace: ${namespace}, container_name: web}]`);
  const agent = await openClusterAgent(t, kube, { node: NODE });
  const pod = await createPod(namespace, { containers: ['web', 'proxy'] });
  const subject = `${namespace}/${pod.name} container`;
  t.true(
    await agent.logs(new RegExp(`not mirroring ${subject} proxy: filter 1 .* names web only`)),
    agent.stderr(),
  );
  const [proxy, web] = [await startContainer(t, pod, 'proxy'), await startContainer(t, pod, 'web')];
  for (const [name, { nginx }] of Object.entries({ proxy, web })) {
    await get(nginx.port, `${name}-1`);
    await get(nginx.port, `${name}-2`);
  }
  t.truthy(await sees(agent, 'web-2'));
  const { copied } = (await agent.ledger()).bytes;
  await get(proxy.nginx.port, 'proxy-3');
  t.is((await agent.ledger()).bytes.copied, copied, 'no byte of it leaves the kernel');
  t.deepEqual(idsSoFar(agent), ['web-1', 'web-2']);
  const { targets, refused } = await agent.coverage();
  t.deepEqual(
    targets.map(({ identity, because }) => [identity.container, because?.startsWith('filter 1')]),
    [['web', true]],
  );
  t.deepEqual(
    refused.map(({ container }) => container),
    ['proxy'],
  );

  const events = await until(
    async () => {
      const flags = ['-n', namespace, '-o', 'json', '--field-selector', `involvedObject.uid=${pod.uid}`];
      const { items } = JSON.parse(await kube.kubectl(['get', 'events', ...flags])) as {
        items: { message: string; reportingComponent: string }[];
      };
      // The webhook's controller tells of the same pod, a second later.
      const own = items.filter(({ reportingComponent }) => reportingComponent === 'podmirror-agent');
      return own.length >= 2 ? own.map(({ message }) => message).sort() : undefined;
    },
    { timeoutMs: 10_000, everyMs: 100 },
  );
  t.deepEqual(events, [
    `mirroring container web: filter 1 (namespace ${namespace}, container web)`,
    `not mirroring container proxy: filter 1 (namespace ${namespace}, container web) names web only`,
  ]);

  // The other way round, while both have open connections.
  const [toWeb, toProxy] = [await openConnection(web.nginx.port), await openConnection(proxy.nginx.port)];
  await toWeb.get('/text', 'web-open');
  await toProxy.get('/text', 'proxy-open');
  await applyFilters(`filters: [{namespace: ${namespace}, container_name: proxy}]`);
  t.true(
    await agent.logs(new RegExp(`released ${subject} web: filter 1 .* names proxy only`)),
    agent.stderr(),
  );
  t.true(await agent.logs(new RegExp(`info +mirroring ${subject} proxy: filter 1`)));
  await toWeb.get('/text', 'web-after');
  await toProxy.get('/text', 'proxy-after');
  t.truthy(await sees(agent, 'proxy-after'));
  t.deepEqual(idsSoFar(agent), ['web-1', 'web-2', 'web-open', 'proxy-after']);
  toWeb.close();
  toProxy.close();
});

rootTest(
  "containers that restart are followed, and those without mounts of a kubelet by the pod's status",
  async (t) => {
    const namespace = await createNamespace({ 'wallarm-mirror': 'enabled' });
    const agent = await openClusterAgent(t, kube, { node: NODE });
    const pod = await createKnownPod(namespace);
    const first = await startContainer(t, pod);
    await get(first.nginx.port, 'first life');
    t.truthy(await sees(agent, 'first life'));
    await first.nginx.stop();
    await first.cgroup.remove();
    t.true(await agent.logs(/released .*: its container ended/), agent.stderr());
    const second = await startContainer(t, pod);
    await get(second.nginx.port, 'second life');
    t.truthy(await sees(agent, 'second life'));

    const nameless = pod.cgroups.sandbox();
    const nginx = await startNginx({ cgroup: nameless });
    t.teardown(() => nginx.stop());
    await get(nginx.port, 'third life');
    const id = nameless.path.slice(-64);
    await patchStatus(pod, { containerStatuses: [statusOf('web', `cri-o://${id}`)] });
    t.truthy(await sees(agent, 'third life'));
    t.deepEqual(idsSoFar(agent), ['first life', 'second life', 'third life']);
    await kube.kubectl(['delete', 'pod', '-n', namespace, pod.name, '--force', '--grace-period=0']);
    t.true(await agent.logs(/released .*: the pod is gone/), agent.stderr());
    await get(second.nginx.port, 'afterlife');
    agent.signal('SIGTERM');
    t.is(await agent.ended, 0);
    t.is(idsSoFar(agent).length, 3);
    t.regex(agent.stderr(), /ledger: captured 3 = delivered 3 \+ dropped 0/);
  },
);

rootTest('an ephemeral container that a filter names is mirrored as soon as it is there', async (t) => {
  const namespace = await createNamespace();
  await applyFilters(`filters: [{namespace: ${namespace}, container_name: 'debug-*'}]`);
  const agent = await openClusterAgent(t, kube, { node: NODE });
  const pod = await createPod(namespace);
  const web = await startContainer(t, pod);
  const path = `/api/v1/namespaces/${namespace}/pods/${pod.name}/ephemeralcontainers`;
  const current = JSON.parse(await kube.kubectl(['get', 'pod', '-n', namespace, pod.name, '-o', 'json']));
  current.spec.ephemeralContainers = [{ ...container('debug-1'), terminationMessagePolicy: 'File' }];
  await kube.kubectl(['replace', '--raw', path, '-f', '-'], JSON.stringify(current));
  t.true(
    await agent.logs(new RegExp(`not mirroring ${namespace}/${pod.name} container web: .* names debug-`)),
  );
  const debug = await startContainer(t, pod, 'debug-1');
  await get(debug.nginx.port, 'debugger');
  await get(web.nginx.port, 'web');
  t.truthy(await sees(agent, 'debugger'));
  t.deepEqual(idsSoFar(agent), ['debugger']);
});

rootTest('a filter that names another node is told, and nothing is attached', async (t) => {
  const namespace = await createNamespace();
  await applyFilters(`filters: [{namespace: ${namespace}, node_name: 'edge-*'}]`);
  const agent = await openClusterAgent(t, kube, { node: NODE });
  const pod = await createPod(namespace);
  const { nginx } = await startContainer(t, pod);
  const line = `not mirroring ${namespace}/${pod.name}: filter 1 .* asks for it on nodes edge-\\*, and this is ${NODE}`;
  t.true(await agent.logs(new RegExp(line)), agent.stderr());
  await get(nginx.port, 'elsewhere');
  await applyFilters(`filters: [{namespace: ${namespace}, node_name: 'node-*'}]`);
  t.true(await agent.logs(new RegExp(`info +mirroring ${namespace}/${pod.name} container web: filter 1`)));
  await get(nginx.port, 'here');
  t.truthy(await sees(agent, 'here'));
  t.deepEqual(idsSoFar(agent), ['here']);
});

for (const driver of ['systemd', 'systemd with CRI-O'] as const) {
  rootTest(`cgroups are found as ${driver} names them`, async (t) => {
    const other = createNodeCgroups(driver);
    t.teardown(() => other.remove());
    const namespace = await createNamespace({ 'wallarm-mirror': 'enabled' });
    const agent = await openClusterAgent(t, kube, { node: NODE });
    const pod = await createKnownPod(namespace, { cgroups: other });
    const { nginx } = await startContainer(t, pod);
    await get(nginx.port, driver);
    const line = await sees(agent, driver);
    t.is(line?.workload.name, `${namespace}/${pod.name}/web`, agent.stderr());
  });
}

rootTest('a static pod and one on the host network are mirrored like others', async (t) => {
  const namespace = await createNamespace({ 'wallarm-mirror': 'enabled' });
  const agent = await openClusterAgent(t, kube, { node: NODE });
  await createKnownPod(namespace);
  const hash = randomUUID().replaceAll('-', '');
  const annotations = {
    'kubernetes.io/config.mirror': hash,
    'kubernetes.io/config.hash': hash,
    'kubernetes.io/config.source': 'file',
  };
  // Without its owner it would be garbage.
  const nodeObject = { apiVersion: 'v1', kind: 'Node', metadata: { name: NODE } };
  const createdNode = await kube.kubectl(['create', '-o', 'json', '-f', '-'], JSON.stringify(nodeObject));
  const owner = {
    apiVersion: 'v1',
    kind: 'Node',
    name: NODE,
    uid: JSON.parse(createdNode).metadata.uid,
    controller: true,
  };
  const manifest = podManifest(
    { namespace, name: 'static', containers: ['web'], annotations, nodeName: NODE },
    { hostNetwork: true },
  );
  const object = { ...manifest, metadata: { ...manifest.metadata, ownerReferences: [owner] } };
  const made = JSON.parse(await kube.kubectl(['create', '-o', 'json', '-f', '-'], JSON.stringify(object)));
  const pod = { namespace, name: 'static', uid: made.metadata.uid, cgroups: node.pod(hash) };
  const { nginx } = await startContainer(t, pod);
  t.true(await agent.logs(/mirroring .*\/static container web/), agent.stderr());
  await get(nginx.port, 'static');
  t.like((await sees(agent, 'static'))?.workload, { pod: 'static', podUid: pod.uid, workload: 'Pod/static' });
});

rootTest('three capabilities and read-only file systems are enough', async (t) => {
  const readOnly =
    'for m in / /tmp /sys/fs/cgroup /sys/fs/cgroup/unified; do mount -o remount,bind,ro $m 2>/dev/null; done; exec "$@"';
  const wrapper = [
    ...['sh', '-c', readOnly, 'sh'],
    ...['setpriv', '--no-new-privs', '--bounding-set=-all,+bpf,+perfmon,+net_admin', '--inh-caps=-all'],
  ];
  const namespace = await createNamespace({ 'wallarm-mirror': 'enabled' });
  const agent = await openClusterAgent(t, kube, { node: NODE, wrapper });
  const pod = await createKnownPod(namespace);
  const { nginx } = await startContainer(t, pod);
  await get(nginx.port, 'with little');
  t.is((await sees(agent, 'with little'))?.workload.name, `${namespace}/${pod.name}/web`, agent.stderr());
  const status = readFileSync(`/proc/${agent.pid}/status`, 'utf8');
  t.is(
    /^CapEff:\s+(\S+)$/m.exec(status)?.[1],
    (2n ** 12n + 2n ** 38n + 2n ** 39n).toString(16).padStart(16, '0'),
  );
});

test.serial(
  'the API server was asked for nothing but pods, the intent and Events, and refused nothing',
  (t) => {
    const asked = kube.audit().filter(({ user }) => user.endsWith(`:${AGENT.account}`));
    t.deepEqual(
      asked.filter(({ status }) => status > 299),
      [],
    );
    const kinds = asked.map(({ verb, resource, namespace, name }) =>
      [verb, resource, ...(resource === 'configmaps' ? [namespace, name] : [])].join(' '),
    );
    t.deepEqual([...new Set(kinds)].sort(), [
      'create events',
      'list configmaps podmirror podmirror-intent',
      'list pods',
      'watch configmaps podmirror podmirror-intent',
      'watch pods',
    ]);
    t.deepEqual([...new Set(asked.map(({ status }) => Math.floor(status / 100)))].sort(), [2]);
  },
);

rootTest(
  'without the API server what is known stays mirrored, and is followed again when it is back',
  async (t) => {
    const namespace = await createNamespace({ 'wallarm-mirror': 'enabled' });
    const agent = await openClusterAgent(t, kube, { node: NODE });
    const pod = await createKnownPod(namespace);
    const first = await startContainer(t, pod);
    await get(first.nginx.port, 'before');
    t.truthy(await sees(agent, 'before'));
    await kube.killApiServer();
    t.true(
      await agent.logs(/What is mirrored stays so, and nothing new is taken until it answers/),
      agent.stderr(),
    );
    await get(first.nginx.port, 'without');
    t.truthy(await sees(agent, 'without'));
    await first.nginx.stop();
    await first.cgroup.remove();
    const second = await startContainer(t, pod);
    await get(second.nginx.port, 'restarted without');
    t.truthy(await sees(agent, 'restarted without'));
    t.deepEqual(await agent.readiness(), { status: 200, reasons: [] });
    t.truthy((await agent.coverage()).cluster.trouble);

    await kube.startApiServer();
    await kube.kubectl(['label', 'namespace', namespace, 'wallarm-mirror-']);
    const subject = `${namespace}/${pod.name} container web`;
    t.true(await agent.logs(new RegExp(`released ${subject}: nothing asks`), 60_000), agent.stderr());
    await get(second.nginx.port, 'after');
    // With the next event or bookmark, which come once a minute.
    t.true(await agent.logs(/the API server answers again/, 100_000));
    const told = agent.stderr().match(/\S+(?=: .*What is mirrored stays so)/g) ?? [];
    t.deepEqual([...new Set(told)], told, 'once for each watch');
    t.deepEqual(idsSoFar(agent), ['before', 'without', 'restarted without']);
  },
);
