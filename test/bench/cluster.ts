/** `make bench`: the agent as the chart runs it, on a real node: idle among many pods, and at a fixed rate. */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Ledger } from '../../bpf/index.d.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { pause } from '../cluster/images.ts';
import { type KubeObject, manifest } from '../cluster/manifest.ts';
import { importImages, installChart, type Podmirror } from '../e2e/install.ts';
import { MIRROR_LABEL, namespaceObject, workloadObjects } from '../e2e/workload.ts';
import { type Leave, leavingNothing } from '../harness/leave.ts';
import { cpuTimeUs, residentBytes } from '../harness/processes.ts';
import { until } from '../harness/until.ts';
import { type ClusterRound, renderClusterReport } from './cluster-report.ts';
import { machine } from './machine.ts';
import { openPacedLoad, type PacedLoad, type Sent } from './paced-load.ts';

const usage = `usage: node test/bench/cluster.ts [--pods 50] [--rate 5000] [--seconds 20] [--rounds 3]

Needs root. Writes test/bench/cluster-results.md.
`;

const RESULTS = fileURLToPath(new URL('cluster-results.md', import.meta.url));
const NAMESPACE = 'bench';

// No access log: the node would write it twice. Connections stay open: the client does not open them again.
const NGINX = `
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr;
events { worker_connections 512; }
http {
  access_log off;
  keepalive_requests 10000000;
  server {
    listen 80;
    return 200 "hello\\n";
  }
}
`;

const { values } = parseArgs({
  options: {
    pods: { type: 'string', default: '50' },
    rate: { type: 'string', default: '5000' },
    seconds: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '3' },
    help: { type: 'boolean', short: 'h' },
  },
});

if (values.help) process.stdout.write(usage);
else process.exitCode = await leavingNothing(main);

async function main(leave: Leave): Promise<number> {
  const [pods, rate, seconds] = [Number(values.pods), Number(values.rate), Number(values.seconds)];
  const cluster = await startCluster({ onProgress: say });
  leave.defer(() => cluster.stop());
  await importImages(cluster);
  // What is measured is the agent: on two cores, rules that look at 5,000 requests/s would leave it nothing.
  const bypass = { bypass: [{ path: '^/1k' }] };
  const podmirror = await installChart(cluster, { config: { connector: { input_filters: bypass } } });
  say('podmirror is installed');
  await fill(cluster, pods);
  await podmirror.agent.mirrors(NAMESPACE, [...Array<string>(pods).fill('pause'), 'nginx']);
  say(`${pods} pods of ${NAMESPACE} and nginx are mirrored`);
  await sleep(5000);

  const load = await openLoad(cluster, rate);
  leave.defer(() => load.close());
  const idle: ClusterRound[] = [];
  const busy: ClusterRound[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    idle.push(await measure(podmirror, () => sleep(seconds * 1000).then(() => undefined)));
    say(`idle: ${JSON.stringify(idle.at(-1))}`);
    busy.push(await measure(podmirror, () => load.send(seconds)));
    say(`busy: ${JSON.stringify(busy.at(-1))}`);
  }
  const report = renderClusterReport({ pods, rate, idle, busy, machine: machine('test/bench/cluster.ts') });
  writeFileSync(RESULTS, report);
  process.stdout.write(`\n${report}\nwritten to ${RESULTS}\n`);
  return 0;
}

function say(sentence: string): void {
  process.stdout.write(`${sentence}\n`);
}

/** Pods of a container that does nothing, and nginx, all in a namespace that is mirrored. */
async function fill({ kubectl, images }: Cluster, pods: number): Promise<void> {
  const labels = { app: 'pause' };
  const idle: KubeObject = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'pause', namespace: NAMESPACE },
    spec: {
      replicas: pods,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 0,
          containers: [{ name: 'pause', image: pause().name }],
        },
      },
    },
  };
  const [configuration, ...web] = workloadObjects(images.nginx, {
    namespace: NAMESPACE,
    name: 'web',
    containers: { nginx: 80 },
  });
  const objects = [
    namespaceObject(NAMESPACE, { [MIRROR_LABEL]: 'enabled' }),
    { ...(configuration as KubeObject), data: { 'nginx.conf': NGINX } },
    ...web,
    idle,
  ];
  await kubectl(['apply', '-f', '-'], manifest(objects));
  for (const name of ['web', 'pause'])
    await kubectl(['rollout', 'status', `deployment/${name}`, '-n', NAMESPACE, '--timeout=120s']);
}

/** From this machine, by the Service's address. */
async function openLoad({ kubectl }: Cluster, rate: number): Promise<PacedLoad> {
  const address = ['-n', NAMESPACE, '-o', 'jsonpath={.spec.clusterIP}'];
  return openPacedLoad({ host: await kubectl(['get', 'service', 'web', ...address]), port: 80, rate });
}

async function measure({ agent }: Podmirror, happen: () => Promise<Sent | undefined>): Promise<ClusterRound> {
  const pid = agent.pid();
  const ledger = async () => (await agent.page('/ledger')) as Ledger;
  const before = await ledger();
  const [cpuBefore, beganAt] = [cpuTimeUs(pid), performance.now()];
  const paced = await happen();
  const elapsedMs = performance.now() - beganAt;
  const cpuUs = cpuTimeUs(pid) - cpuBefore;
  const resident = residentBytes(pid);
  await until(async () => (await ledger()).exchanges.inFlight === 0, { timeoutMs: 10_000, everyMs: 50 });
  const after = await ledger();
  return {
    cpuPercent: (cpuUs / 1000 / elapsedMs) * 100,
    residentBytes: resident,
    perSecond: ((paced?.answered ?? 0) / elapsedMs) * 1000,
    sent: paced?.sent ?? 0,
    captured: after.exchanges.captured - before.exchanges.captured,
    delivered: after.exchanges.delivered - before.exchanges.delivered,
    closes: after.closes,
  };
}
