/** The cluster itself is what its tests take it for. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import type { News } from '../cluster/hold.ts';
import { instanceOf } from '../cluster/instance.ts';
import { manifest } from '../cluster/manifest.ts';
import { remainsOf } from '../cluster/removal.ts';
import { whyNoCgroups } from '../harness/cgroup.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';

let cluster: Cluster;

test.before(async () => {
  if (whyNoCgroups()) return;
  cluster = await startCluster();
  await runShop(cluster);
});

test.after.always(async () => cluster?.stop());

/** nginx behind Service `web`, and a client, both in namespace `shop`. */
async function runShop(cluster: Cluster): Promise<void> {
  const { kubectl, images } = cluster;
  const labels = { app: 'web' };
  const metadata = (name: string) => ({ name, namespace: 'shop' });
  const pod = (name: string, image: string) => ({
    containers: [{ name, image }],
    terminationGracePeriodSeconds: 0,
  });
  await kubectl(
    ['apply', '-f', '-'],
    manifest([
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: metadata('web'),
        spec: {
          replicas: 2,
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: pod('nginx', images.nginx) },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: metadata('web'),
        spec: { selector: labels, ports: [{ port: 80 }] },
      },
    ]),
  );
  // The default ServiceAccount comes a moment after the namespace; controllers wait for it, people must.
  await until(async () => {
    const made = await kubectl.attempt(
      ['apply', '-f', '-'],
      manifest([
        { apiVersion: 'v1', kind: 'Pod', metadata: metadata('client'), spec: pod('client', images.client) },
      ]),
    );
    return made.code === 0;
  });
  await kubectl(['rollout', 'status', 'deployment/web', '-n', 'shop', '--timeout=60s']);
  await kubectl(['wait', 'pod/client', '-n', 'shop', '--for=condition=Ready', '--timeout=60s']);
  // kube-proxy follows within a second or two.
  await until(() => curl(cluster, 'http://web/').catch(() => undefined), { timeoutMs: 20_000, everyMs: 200 });
}

const curl = ({ kubectl }: Cluster, url: string) =>
  kubectl(['exec', '-n', 'shop', 'client', '--', 'curl', '-sS', '--max-time', '5', url]);

interface Pods {
  items: { metadata: { name: string }; status: { podIP: string; containerStatuses: ContainerStatus[] } }[];
}
interface ContainerStatus {
  containerID: string;
  restartCount: number;
}

const podsOf = async ({ kubectl }: Cluster) =>
  (JSON.parse(await kubectl(['get', 'pods', '-n', 'shop', '-l', 'app=web', '-o', 'json'])) as Pods).items;

rootTest('a Service answers by its DNS name from another pod', async (t) => {
  t.is(await curl(cluster, 'http://web.shop.svc.cluster.local/'), 'hello from nginx\n');
  t.is(await curl(cluster, 'http://web/'), 'hello from nginx\n');
});

rootTest('this machine reaches Services and pods by their addresses', async (t) => {
  const [pod] = await podsOf(cluster);
  const service = await cluster.kubectl([
    'get',
    'service',
    'web',
    '-n',
    'shop',
    '-o',
    'jsonpath={.spec.clusterIP}',
  ]);
  for (const address of [service, pod?.status.podIP])
    t.is(await (await fetch(`http://${address}/`)).text(), 'hello from nginx\n');
});

rootTest('nginx sees the address of the pod that asks, through the Service too', async (t) => {
  const address = await cluster.kubectl([
    'get',
    'pod',
    'client',
    '-n',
    'shop',
    '-o',
    'jsonpath={.status.podIP}',
  ]);
  await curl(cluster, 'http://web/?who-asks');
  const pods = await podsOf(cluster);
  const line = await until(async () => {
    const logs = await Promise.all(pods.map(({ metadata }) => cluster.podLog('shop', metadata.name)));
    return logs
      .join('')
      .split('\n')
      .find((each) => each.includes('who-asks'));
  });
  t.true(line?.startsWith(`${address} `), line);
});

rootTest('commands run in containers, and their exit codes come back', async (t) => {
  const inClient = ['exec', '-n', 'shop', 'client', '--'];
  t.is(await cluster.kubectl([...inClient, 'python3', '-c', 'import ssl, json; print(6 * 7)']), '42\n');
  t.is((await cluster.kubectl.attempt([...inClient, 'sh', '-c', 'exit 7'])).code, 7);
});

rootTest('cert-manager makes a Certificate, and refuses a wrong one', async (t) => {
  const { kubectl } = cluster;
  const metadata = (name: string) => ({ name, namespace: 'shop' });
  const apiVersion = 'cert-manager.io/v1';
  const certificate = { secretName: 'web-tls', dnsNames: ['web'], issuerRef: { name: 'own' } };
  await kubectl(
    ['apply', '-f', '-'],
    manifest([
      { apiVersion, kind: 'Issuer', metadata: metadata('own'), spec: { selfSigned: {} } },
      { apiVersion, kind: 'Certificate', metadata: metadata('web'), spec: certificate },
    ]),
  );
  await kubectl(['wait', 'certificate/web', '-n', 'shop', '--for=condition=Ready', '--timeout=30s']);
  const secret = await kubectl([
    'get',
    'secret',
    'web-tls',
    '-n',
    'shop',
    '-o',
    'jsonpath={.data.tls\\.crt}',
  ]);
  t.regex(Buffer.from(secret, 'base64').toString(), /BEGIN CERTIFICATE/);
  const wrong = { ...certificate, duration: '1h', renewBefore: '2h' };
  const refused = await kubectl.attempt(
    ['apply', '-f', '-'],
    manifest([{ apiVersion, kind: 'Certificate', metadata: metadata('wrong'), spec: wrong }]),
  );
  t.regex(refused.stderr, /renewBefore/);
});

rootTest('helm installs and uninstalls', async (t) => {
  const { helm, instance } = cluster;
  const chart = `${instance.directory}/chart`;
  await helm(['create', chart]);
  await helm(['install', 'one', chart, '--set', 'replicaCount=0']);
  t.regex(await helm(['list']), /^one\s/m);
  await helm(['uninstall', 'one']);
  t.notRegex(await helm(['list']), /^one\s/m);
});

rootTest('pods go on serving without containerd, and are the same afterwards', async (t) => {
  const before = await podsOf(cluster);
  const restart = cluster.restartContainerd();
  let [served, asked] = [0, 0];
  let isOver = false;
  const restarted = restart.then(() => {
    isOver = true;
  });
  while (!isOver) {
    asked++;
    const address = before[asked % before.length]?.status.podIP;
    if ((await fetch(`http://${address}/`)).ok) served++;
  }
  await restarted;
  t.is(served, asked);
  const after = await until(
    async () => {
      const answer = await cluster.kubectl.attempt(['exec', '-n', 'shop', 'client', '--', 'true']);
      return answer.code === 0 && podsOf(cluster);
    },
    { timeoutMs: 30_000, everyMs: 200 },
  );
  const ids = (pods: Pods['items']) =>
    pods.flatMap(({ status }) => status.containerStatuses.map((one) => one.containerID));
  t.deepEqual(ids(after || []), ids(before));
});

rootTest('the API server comes back after a crash with what it knew', async (t) => {
  await cluster.killApiServer();
  t.not((await cluster.kubectl.attempt(['get', 'pods', '-n', 'shop'])).code, 0);
  await cluster.startApiServer();
  t.is((await podsOf(cluster)).length, 2);
});

rootTest('two clusters are there at a time, and one that is stopped leaves nothing', async (t) => {
  const second = await startCluster({ certManager: false });
  const { instance } = second;
  const pids = pidsIn(instance.cgroup);
  try {
    await runShop(second);
    t.is(await curl(second, 'http://web/'), 'hello from nginx\n');
    t.is(await curl(cluster, 'http://web/'), 'hello from nginx\n');
    pids.push(...pidsIn(instance.cgroup));
    t.true(pids.length > 10, `${pids}`);
  } finally {
    await second.stop();
  }
  t.deepEqual(remainsOf(instance), []);
  t.deepEqual(await survivors(pids), []);
  t.is(await curl(cluster, 'http://web/'), 'hello from nginx\n');
});

rootTest('one whose process is killed leaves nothing either', async (t) => {
  const main = fileURLToPath(new URL('../cluster/main.ts', import.meta.url));
  const holder = spawn(process.execPath, [main, 'hold'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  t.teardown(() => holder.kill('SIGKILL'));
  const name = await new Promise<string>((resolve, reject) => {
    holder.on('message', (news: News) => {
      if ('ready' in news) resolve(news.ready);
      if ('failed' in news) reject(new Error(news.failed));
    });
    holder.once('exit', () => reject(new Error('it ended')));
  });
  const instance = instanceOf(name);
  const pids = pidsIn(instance.cgroup);
  t.true(pids.length > 10, `${pids}`);
  holder.kill('SIGKILL');
  t.truthy(
    await until(() => remainsOf(instance).length === 0, { timeoutMs: 30_000, everyMs: 100 }),
    `${remainsOf(instance)}`,
  );
  t.deepEqual(await survivors(pids), []);
});

/** Found at the processes, not at the cgroup. */
function pidsIn(cgroup: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) =>
      cgroupsOf(pid)
        .split('\n')
        .some((line) => line.includes(`:${cgroup}/`)),
    );
}

function cgroupsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    return '';
  }
}

/** Those that are still there after a while: pid 1 takes its time with orphans. */
async function survivors(pids: readonly number[]): Promise<number[]> {
  await until(() => !pids.some(isAlive));
  return pids.filter(isAlive);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
