/** From nothing to an attack on record, and back to nothing; by Helm and by kustomize. */
import test, { type ExecutionContext } from 'ava';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { buildBpfPrograms } from '../harness/bpf-programs.ts';
import { whyNoCgroups } from '../harness/cgroup.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { accountUser, grantsOf, refusedIn, usedIn } from '../kube/grants.ts';
import { heldBy } from './held-bpf.ts';
import { applyBase, importImages, installChart, NAMESPACE, type Podmirror } from './install.ts';
import { filesOfNode, objectsOfPodmirror, podsOfNode } from './remains.ts';
import {
  attackUrl,
  type ClientPod,
  MIRROR_LABEL,
  namespaceObject,
  runWorkloads,
  startClient,
} from './workload.ts';

let cluster: Cluster;
let client: ClientPod;

test.before(async () => {
  if (whyNoCgroups()) return;
  cluster = await startCluster();
  const shop = namespaceObject('shop', { [MIRROR_LABEL]: 'enabled' });
  [client] = await Promise.all([
    startClient(cluster),
    runWorkloads(cluster, [shop], [{ namespace: 'shop', name: 'web', containers: { nginx: 80 } }]),
    importImages(cluster),
  ]);
});

test.after.always(async () => cluster?.stop());

const ways = {
  'helm install': () => installChart(cluster),
  'helm install, self-signed': () => installChart(cluster, { certificates: { mode: 'selfSigned' } }),
  'kubectl apply -k': () => applyBase(cluster),
};

for (const [way, install] of Object.entries(ways)) {
  rootTest(`${way}: an attack through a Service is on record, and removal leaves nothing`, async (t) => {
    const before = await stateOfCluster();
    const bpf = buildBpfPrograms();
    t.teardown(bpf.remove);
    const podmirror = await install();
    await attackIsOnRecord(t, podmirror, `/${way.replaceAll(/\W+/g, '-')}`);
    await agentHasItsRightsOnly(t);
    const held = heldBy(podmirror.agent.pid());
    t.true(held.programs.length > 0 && held.maps.length > 0, JSON.stringify(held));

    await podmirror.uninstall();
    await cluster.kubectl(['delete', 'namespace', NAMESPACE, '--ignore-not-found', '--timeout=60s']);
    const left = () => [
      ...bpf.loaded().filter((id) => held.programs.includes(id)),
      ...bpf.maps().filter((id) => held.maps.includes(id)),
    ];
    // The kernel frees them after a grace period; a kubelet removes folders of pods every few seconds.
    await until(() => left().length === 0);
    t.deepEqual(left(), []);
    await until(async () => `${await podsOfNode(cluster)}` === `${before.pods}`, {
      timeoutMs: 30_000,
      everyMs: 200,
    });
    t.deepEqual(await stateOfCluster(), before);
    t.deepEqual(before.objects, []);
    t.deepEqual(await client.get(attackUrl('web.shop', '/afterwards')), [200]);
  });
}

async function attackIsOnRecord(t: ExecutionContext, { record, agent }: Podmirror, path: string) {
  await agent.mirrors('shop', ['nginx']);
  t.deepEqual(await client.get(attackUrl('web.shop.svc.cluster.local', path)), [200]);
  const name = ['-o', 'jsonpath={.items[0].metadata.name}'];
  const pod = await cluster.kubectl(['get', 'pods', '-n', 'shop', ...name]);
  t.like(await record.attackOn(path), {
    type: 'path_traversal',
    target: { namespace: 'shop', pod, container: 'nginx', workload: 'Deployment/web' },
    clientAddress: client.address,
    peerAddress: client.address,
    method: 'GET',
    status: 200,
    hits: 1,
  });
}

/** Nothing it asked for was refused, and its roles grant nothing that it does not use. */
async function agentHasItsRightsOnly(t: ExecutionContext) {
  const account = 'podmirror-agent';
  const asked = () => cluster.audit().filter(({ user }) => user === accountUser(account));
  // The Event that tells what is mirrored comes a moment after.
  t.truthy(await until(() => usedIn(asked()).has('create events')));
  t.deepEqual(refusedIn(asked()), []);
  // There are further ones when one ConfigMap cannot hold the intent; they are read as the first is.
  const isFurtherShard = (grant: string) => / configmaps podmirror-intent-\d$/.test(grant);
  const granted = (await grantsOf(cluster.kubectl, account)).filter((grant) => !isFurtherShard(grant));
  t.deepEqual(
    granted.filter((grant) => !usedIn(asked()).has(grant)),
    [],
  );
}

const stateOfCluster = async () => ({
  objects: await objectsOfPodmirror(cluster),
  files: await filesOfNode(cluster),
  pods: await podsOfNode(cluster),
});
