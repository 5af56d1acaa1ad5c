/** `make bench`: the webhook and its controller behind a real API server with 10,000 pods. */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Api, createApi, pathOf } from '../../webhook/cluster/api.ts';
import { systemClock } from '../../webhook/cluster/clock.ts';
import { kubeConfigConnection } from '../../webhook/cluster/connection.ts';
import { decodeIntent } from '../../webhook/intent/document.ts';
import { type Leave, leavingNothing } from '../harness/leave.ts';
import { residentBytes } from '../harness/processes.ts';
import { seededRandom } from '../harness/random.ts';
import { until } from '../harness/until.ts';
import { readShards } from '../kube/agent-view.ts';
import { untilConverged } from '../kube/convergence.ts';
import { deployPodmirror, type Podmirror } from '../kube/deploy.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import { podManifest } from '../kube/pods.ts';
import { machine } from './machine.ts';
import { type CreationRound, type LabelChange, quantile, renderWebhookReport } from './webhook-report.ts';

const usage = `usage: node test/bench/webhook.ts [--pods 10000] [--rounds 8] [--seconds 5] [--rate 200] [--changes 10]

Needs root. Writes test/bench/webhook-results.md.
`;

const RESULTS = fileURLToPath(new URL('webhook-results.md', import.meta.url));
const NAMESPACES = 100;
const CLASSES_EACH = 3;
/** One namespace with so many of the pods. */
const BIG = 1000;
const CONCURRENCY = 24;
/** manifests/base asks no webhook about pods in it. */
const UNASKED = 'cert-manager';

const { values } = parseArgs({
  options: {
    pods: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '5' },
    rate: { type: 'string', default: '200' },
    changes: { type: 'string', default: '10' },
    help: { type: 'boolean', short: 'h' },
  },
});

if (values.help) process.stdout.write(usage);
else process.exitCode = await leavingNothing(main);

async function main(leave: Leave): Promise<number> {
  const pods = Number(values.pods);
  const kube = await startKube();
  leave.defer(() => kube.stop());
  const podmirror = await deployPodmirror(kube);
  leave.defer(() => podmirror.stop());
  await podmirror.start(0);
  await podmirror.start(1);
  const connection = await kubeConfigConnection({ file: kube.kubeconfig, clock: systemClock });
  leave.defer(() => connection.close());
  const api = createApi({ connection });

  say(`${NAMESPACES} namespaces, ${pods} pods`);
  await fill(kube, api, pods);
  await untilConverged(kube.kubectl, 120_000);
  const size = await sizeOf(kube);
  const resident = podmirror.replicas.map(({ pid }) => residentBytes(pid));
  say(`${size.classes} classes in ${size.bytes} bytes`);

  const changes: LabelChange[] = [];
  for (let number = 0; number < Number(values.changes); number++) {
    changes.push(await changeLabel(api, podmirror, number % 2 === 0 ? 'disabled' : 'enabled'));
    say(`label change ${number + 1}: ${JSON.stringify(changes.at(-1))}`);
  }

  const rounds = await creationRounds(api, podmirror);
  const report = renderWebhookReport({
    pods,
    size,
    resident,
    changes,
    rounds,
    rate: Number(values.rate),
    residentAfter: podmirror.replicas.map(({ pid }) => residentBytes(pid)),
    machine: machine('test/bench/webhook.ts'),
  });
  writeFileSync(RESULTS, report);
  process.stdout.write(`\n${report}\nwritten to ${RESULTS}\n`);
  return 0;
}

function say(sentence: string): void {
  process.stdout.write(`${sentence}\n`);
}

async function fill(kube: Kube, api: Api, count: number): Promise<void> {
  const names = [UNASKED, ...Array.from({ length: NAMESPACES }, (_, index) => `bench-${index}`)];
  await inParallel(names, (name) =>
    api.create(pathOf({}, 'namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }),
  );
  const metadata = { name: 'podmirror-filters', namespace: 'podmirror' };
  const data = { 'filters.yaml': "filters: [{namespace: 'bench-*', pod_labels: {app: 'app-*'}}]" };
  await kube.kubectl(
    ['apply', '-f', '-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data }),
  );
  for (const name of names) await untilDefaultAccount(api, name);
  const pods = Array.from({ length: count }, (_, index) => {
    const namespace = index < BIG ? 'bench-0' : `bench-${1 + (index % (NAMESPACES - 1))}`;
    return benchPod(namespace, `pod-${index}`, Math.floor(index / (NAMESPACES - 1)) % CLASSES_EACH);
  });
  await inParallel(pods, (pod) => createPod(api, pod));
}

type Pod = ReturnType<typeof benchPod>;

function benchPod(namespace: string, name: string, kind: number) {
  return podManifest({
    namespace,
    name,
    containers: ['web', 'proxy'],
    labels: { app: `app-${kind}`, 'pod-template-hash': '6d4cf56db6' },
  });
}

function createPod(api: Api, pod: Pod): Promise<unknown> {
  return api.create(pathOf({ namespace: pod.metadata.namespace }, 'pods'), pod);
}

async function untilDefaultAccount(api: Api, namespace: string): Promise<void> {
  await until(
    () =>
      api.get(pathOf({ namespace }, 'serviceaccounts', 'default')).then(
        () => true,
        () => false,
      ),
    { timeoutMs: 30_000, everyMs: 50 },
  );
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}

async function sizeOf(kube: Kube): Promise<{ classes: number; bytes: number; shards: number }> {
  const shards = await readShards(kube.kubectl);
  const { intent } = decodeIntent(shards);
  const bytes = Buffer.byteLength(JSON.stringify(shards));
  return { classes: intent?.classes.size ?? 0, bytes, shards: shards.length };
}

/** From the answer to the change of the label to a ConfigMap that says so. */
async function changeLabel(
  api: Api,
  podmirror: Podmirror,
  word: 'enabled' | 'disabled',
): Promise<LabelChange> {
  const writesBefore = await intentWrites(podmirror);
  const labels = { 'wallarm-mirror': word };
  await api.mergePatch(pathOf({}, 'namespaces', 'bench-0'), { metadata: { labels } });
  const beganAt = performance.now();
  const path = pathOf({ namespace: 'podmirror' }, 'configmaps', 'podmirror-intent');
  const isRight = async () => {
    const { data } = (await api.get(path)) as { data: Record<string, string> };
    const { intent } = decodeIntent([data]);
    const grants = [...(intent?.classes ?? [])].filter(([id]) => id.startsWith('bench-0.'));
    return word === 'disabled'
      ? grants.length === 0
      : grants.length === CLASSES_EACH &&
          grants.every(([, list]) => list.every(({ because }) => because.includes('wallarm-mirror=enabled')));
  };
  const found = await until(isRight, { timeoutMs: 30_000, everyMs: 1 });
  if (!found) throw new Error(`the ConfigMap does not follow the label ${word}`);
  const ms = performance.now() - beganAt;
  return { word, ms, writes: (await intentWrites(podmirror)) - writesBefore };
}

/** Of both replicas: one leads. */
async function intentWrites(podmirror: Podmirror): Promise<number> {
  const texts = await Promise.all(podmirror.replicas.map(({ opsUrl }) => metrics(opsUrl)));
  return texts.reduce((sum, text) => sum + sample(text, 'podmirror_intent_writes_total'), 0);
}

async function metrics(opsUrl: string): Promise<string> {
  return await (await fetch(`${opsUrl}/metrics`)).text();
}

function sample(text: string, name: string): number {
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1] ?? 0,
  );
}

/**
 * Pods created at a fixed rate, in turns in a namespace that the webhook is asked about and in one that it is not: the API
 * server's own latency with and without it.
 */
async function creationRounds(api: Api, podmirror: Podmirror): Promise<CreationRound[]> {
  const random = seededRandom(7);
  const rounds: CreationRound[] = [];
  for (let number = 0; number < Number(values.rounds); number++) {
    const onFirst = random.chance(0.5);
    const off = () => creations(api, false, number);
    const on = async () => {
      const before = await admissionTimes(podmirror);
      const times = await creations(api, true, number);
      return { times, admission: since(before, await admissionTimes(podmirror)) };
    };
    const early = onFirst ? undefined : await off();
    const { times, admission } = await on();
    rounds.push({ on: times, off: early ?? (await off()), admission });
    const last = rounds.at(-1);
    if (!last) continue;
    const told = (times: readonly number[]) =>
      [0.5, 0.9, 0.99].map((part) => quantile(times, part).toFixed(1)).join(' / ');
    say(`creations ${number + 1}: ${told(last.off)} → ${told(last.on)} ms (median / p90 / p99)`);
  }
  return rounds;
}

/** Milliseconds of each creation. */
async function creations(api: Api, on: boolean, round: number): Promise<number[]> {
  const namespace = on ? 'bench-1' : UNASKED;
  const [rate, count] = [Number(values.rate), Number(values.rate) * Number(values.seconds)];
  const beganAt = performance.now();
  const times: number[] = [];
  const underWay: Promise<void>[] = [];
  for (let number = 0; number < count; number++) {
    const late = beganAt + (number * 1000) / rate - performance.now();
    if (late > 0) await sleep(late);
    const pod = benchPod(namespace, `new-${on}-${round}-${number}`, number % CLASSES_EACH);
    const startedAt = performance.now();
    underWay.push(
      createPod(api, pod).then(() => {
        times.push(performance.now() - startedAt);
      }),
    );
  }
  await Promise.all(underWay);
  await inParallel(
    Array.from({ length: count }, (_, number) => `new-${on}-${round}-${number}`),
    (name) => api.remove(`${pathOf({ namespace }, 'pods', name)}?gracePeriodSeconds=0`),
  );
  return times;
}

/** The webhook's own histogram of /mutate, both replicas: seconds, and how many took no longer. */
async function admissionTimes(podmirror: Podmirror): Promise<Map<number, number>> {
  const line = /^podmirror_admission_duration_seconds_bucket\{le="([^"]+)",path="\/mutate",.*\} (\d+)$/;
  const counts = new Map<number, number>();
  for (const { opsUrl } of podmirror.replicas) {
    for (const text of (await metrics(opsUrl)).split('\n')) {
      const [, le, count] = line.exec(text) ?? [];
      if (le === undefined) continue;
      const seconds = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le);
      counts.set(seconds, (counts.get(seconds) ?? 0) + Number(count));
    }
  }
  return counts;
}

function since(before: Map<number, number>, after: Map<number, number>): Map<number, number> {
  return new Map([...after].map(([seconds, count]) => [seconds, count - (before.get(seconds) ?? 0)]));
}
