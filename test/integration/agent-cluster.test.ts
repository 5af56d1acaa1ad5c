/** The agent on a node of a real API server: pods and intent are objects there, cgroups, mounts and nginx are real here. */
import { randomUUID } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import { type Nginx, startNginx } from '../harness/nginx.ts';
import { idOfLine, type PrintedLine, parseLines } from '../harness/printed.ts';
import { openConnection } from '../harness/raw-connection.ts';
import { rootTest } from '../harness/root-test.ts';
import type { Service } from '../harness/service.ts';
import { until } from '../harness/until.ts';
import { AGENT, type ClusterAgent, createAgentAccount, openClusterAgent } from '../kube/cluster-agent.ts';
import { startIntentController } from '../kube/intent-controller.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import {
  type ContainerCgroup,
  createNodeCgroups,
  type NodeCgroups,
  type PodCgroups,
} from '../kube/node-cgroups.ts';
import { podManifest } from '../kube/pods.ts';

const NODE = 'node-a';
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
  { name = `web-${randomUUID().slice(0, 8)}`, containers = ['web'], labels = {}, nodeName = NODE } = {},
): Promise<RunningPod> {
  const manifest = podManifest({ namespace, name, containers, labels, nodeName });
  const made = await kube.kubectl(['create', '-o', 'json', '-f', '-'], JSON.stringify(manifest));
  const { uid } = (JSON.parse(made) as { metadata: { uid: string } }).metadata;
  return { namespace, name, uid, cgroups: node.pod(uid) };
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
    await agent.logs(new RegExp(`mirroring ${subject}: namespace ${namespace} is labelled`)),
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
