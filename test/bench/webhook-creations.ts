/**
 * Pods created at a fixed rate, in turns in a namespace that the webhook is asked about and in one that it is not: the API
 * server's own latency with and without it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../harness/random.ts';
import type { Kubectl } from '../kube/kubectl.ts';
import { type Histogram, histogramOf, since } from './histogram.ts';
import { percentsSince, processorUse } from './processor-use.ts';
import { CLASSES_EACH, UNASKED, type Workloads } from './webhook-workloads.ts';

export interface Creations {
  /** Milliseconds of each, as the client that creates sees them. */
  times: readonly number[];
  /** As the API server counts them itself: `apiserver_request_duration_seconds`. */
  requests: Histogram;
  /** What it waits for the webhook in them: `apiserver_admission_webhook_admission_duration_seconds`. */
  waits: Histogram;
  /** The webhook's own, of each replica: `podmirror_admission_duration_seconds`. The leader comes first. */
  replicas: readonly Histogram[];
  /** Percent of one processor, by process. */
  processors: ReadonlyMap<string, number>;
}

export interface CreationRound {
  on: Creations;
  off: Creations;
}

export interface Replica {
  pid: number;
  opsUrl: string;
}

export interface CreationOptions {
  workloads: Workloads;
  kubectl: Kubectl;
  replicas: readonly Replica[];
  rounds: number;
  seconds: number;
  /** Per second. */
  rate: number;
  onRound(round: CreationRound): void;
}

export async function creationRounds(options: CreationOptions): Promise<CreationRound[]> {
  const random = seededRandom(7);
  const replicas = await leaderFirst(options.replicas);
  const rounds: CreationRound[] = [];
  for (let number = 0; number < options.rounds; number++) {
    const run = (on: boolean) => observed(on, number, { ...options, replicas });
    const early = random.chance(0.5) ? undefined : await run(false);
    const on = await run(true);
    const round = { on, off: early ?? (await run(false)) };
    rounds.push(round);
    options.onRound(round);
  }
  return rounds;
}

export async function metricsOf({ opsUrl }: Pick<Replica, 'opsUrl'>): Promise<string> {
  return await (await fetch(`${opsUrl}/metrics`)).text();
}

async function leaderFirst(replicas: readonly Replica[]): Promise<Replica[]> {
  const asked = await Promise.all(
    replicas.map(async (replica) => ({ replica, text: await metricsOf(replica) })),
  );
  const isLeader = (text: string) => /^podmirror_controller_leading 1$/m.test(text);
  return asked
    .toSorted((a, b) => Number(isLeader(b.text)) - Number(isLeader(a.text)))
    .map(({ replica }) => replica);
}

async function observed(on: boolean, round: number, options: CreationOptions): Promise<Creations> {
  const { workloads, kubectl, replicas, rate, seconds } = options;
  const namespace = on ? 'bench-1' : UNASKED;
  const names = Array.from({ length: rate * seconds }, (_, number) => `new-${on}-${round}-${number}`);
  const programs = new Map(replicas.map(({ pid }, at) => [pid, at === 0 ? 'webhook, leader' : 'webhook']));
  const read = async () => ({
    api: await kubectl(['get', '--raw', '/metrics']),
    own: await Promise.all(replicas.map(metricsOf)),
  });
  const before = await read();
  // What the deletion of the last pods and this reading have left behind.
  await sleep(1000);
  const [usedBefore, beganAt] = [processorUse(programs), performance.now()];
  const times = await paced(names, rate, (name, number) =>
    workloads.create(namespace, name, number % CLASSES_EACH),
  );
  const processors = percentsSince(usedBefore, processorUse(programs), performance.now() - beganAt);
  const after = await read();
  await workloads.remove(namespace, names);
  const sinceBefore = (name: string, labels: string[]) =>
    since(histogramOf(before.api, name, labels), histogramOf(after.api, name, labels));
  return {
    times,
    processors,
    requests: sinceBefore('apiserver_request_duration_seconds', [
      'resource="pods"',
      'verb="POST"',
      'subresource=""',
    ]),
    waits: sinceBefore('apiserver_admission_webhook_admission_duration_seconds', ['operation="CREATE"']),
    replicas: after.own.map((text, at) => since(admissions(before.own[at] ?? ''), admissions(text))),
  };
}

/** Milliseconds of each; they begin at a fixed rate, whether or not others have ended. */
async function paced(
  names: readonly string[],
  rate: number,
  create: (name: string, number: number) => Promise<void>,
): Promise<number[]> {
  const beganAt = performance.now();
  return await Promise.all(
    names.map(async (name, number) => {
      await sleep(Math.max(1, beganAt + (number * 1000) / rate - performance.now()));
      const startedAt = performance.now();
      await create(name, number);
      return performance.now() - startedAt;
    }),
  );
}

const admissions = (text: string) =>
  histogramOf(text, 'podmirror_admission_duration_seconds', ['path="/mutate"']);
