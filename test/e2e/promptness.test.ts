/** How soon what is asked for is mirrored: after a label, and in a pod that has just been made. */
import test from 'ava';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { type KubeObject, manifest } from '../cluster/manifest.ts';
import { whyNoCgroups } from '../harness/cgroup.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { addressesInUse, firstRequest } from './first-request.ts';
import { importImages, installChart, type Podmirror } from './install.ts';
import { sendSteadily } from './steady-requests.ts';
import { MIRROR_LABEL, namespaceObject, nginxPod, runWorkloads } from './workload.ts';

let cluster: Cluster;
let podmirror: Podmirror;

const rounds = 20;
const atATime = 5;

test.before(async () => {
  if (whyNoCgroups()) return;
  cluster = await startCluster();
  const namespaces = [namespaceObject('shop'), namespaceObject('new', { [MIRROR_LABEL]: 'enabled' })];
  const containers = { nginx: 80 };
  [podmirror] = await Promise.all([
    importImages(cluster).then(() => installChart(cluster)),
    runWorkloads(cluster, namespaces, [
      { namespace: 'shop', name: 'web', containers },
      { namespace: 'new', name: 'web', containers },
    ]),
  ]);
});

test.after.always(async () => cluster?.stop());

rootTest('the first mirrored request comes within a second of the label', async (t) => {
  const { kubectl } = cluster;
  const { agent, record } = podmirror;
  const label = (value: string) => kubectl(['label', 'namespace/shop', `${MIRROR_LABEL}${value}`]);
  const address = await kubectl(['get', 'pods', '-n', 'shop', '-o', 'jsonpath={.items[0].status.podIP}']);
  const fromCommand: number[] = [];
  const fromItsEnd: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await agent.mirrors('shop', []);
    const prefix = `/label-${round}`;
    const requests = sendSteadily(address, prefix);
    const begun = performance.now();
    await label('=enabled');
    const labelled = performance.now();
    const recorded = async () =>
      (await record.attacks()).filter(({ path }) => path.startsWith(`${prefix}-`)).map(({ path }) => path);
    await until(async () => (await recorded()).length > 0, { timeoutMs: 15_000, everyMs: 50 });
    await requests.stop();
    await until(async () => (await record.stats()).pending === 0);
    const first = Math.min(...(await recorded()).map((path) => requests.sent.get(path) ?? Infinity));
    t.true(first > begun && first < begun + 10_000, `${prefix}: ${first - begun} ms`);
    fromCommand.push(first - begun);
    fromItsEnd.push(first - labelled);
    await label('-');
  }
  t.log(`from the start of \`kubectl label\`: ${figures(fromCommand)}; from its end: ${figures(fromItsEnd)}`);
});

rootTest("a new pod's first request is not missed", async (t) => {
  const { kubectl, images } = cluster;
  const { record } = podmirror;
  const spec = nginxPod({ image: images.nginx, configurations: 'web', containers: { nginx: 80 } });
  const firstPath = (address: string) => `/first-${address.replaceAll('.', '-')}`;
  const started: string[] = [];
  while (started.length < rounds) {
    const before = new Set(addressesInUse(cluster));
    const pods = Array.from(
      { length: atATime },
      (_, index): KubeObject => ({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `pod-${started.length + index}`, namespace: 'new' },
        spec,
      }),
    );
    await kubectl(['apply', '-f', '-'], manifest(pods));
    const asked = new Map<string, Promise<string>>();
    await until(
      () => {
        for (const address of addressesInUse(cluster)) {
          if (before.has(address) || asked.has(address)) continue;
          asked.set(address, firstRequest(address, 80, `${firstPath(address)}?file=../../../etc/passwd`));
        }
        return asked.size === atATime;
      },
      { timeoutMs: 60_000, everyMs: 2 },
    );
    for (const line of await Promise.all(asked.values())) t.is(line, 'HTTP/1.1 200 OK');
    started.push(...asked.keys());
  }
  const listed = await kubectl([
    'get',
    'pods',
    '-n',
    'new',
    '-o',
    'jsonpath={range .items[*]}{.status.podIP} {.metadata.name}{"\\n"}{end}',
  ]);
  const names = new Map(listed.split('\n').map((line) => line.split(' ') as [string, string]));
  let seen = 0;
  for (const address of started) {
    const path = firstPath(address);
    const attack = await record.attackOn(path).catch((error: Error) => void t.log(error.message));
    if (!attack) continue;
    seen++;
    t.like(attack, {
      target: { namespace: 'new', pod: names.get(address), container: 'nginx' },
      status: 200,
    });
  }
  t.is(seen, started.length);
  t.log(`${seen} of ${started.length} first requests were seen`);
});

function figures(ms: readonly number[]): string {
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN);
  return `median ${at(0.5)} ms, least ${at(0)} ms, most ${at(1)} ms`;
}
