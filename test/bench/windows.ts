/**
 * Three arms in short windows of one long measurement: nothing beside nginx, a process that only takes as much of the
 * other core as the subject does, and the subject. Each triple has one window of each, in random order, so that whatever
 * changes on the machine within seconds changes all three.
 */
import { seededRandom } from '../harness/random.ts';
import type { Burner } from './burner.ts';
import { processNs, stolenNs, taskTimes } from './kernel-times.ts';
import { spreadOf } from './statistics.ts';
import type { WindowLoad } from './window-load.ts';

export const ARMS = ['off', 'control', 'on'] as const;
export type Arm = (typeof ARMS)[number];

export interface Window {
  requests: number;
  perSecond: number;
  nginxUsPerRequest: number;
  sleepsPerRequest: number;
  /** What the subject, or the process in its place, took of the other core. */
  part: number;
  /** Of the window: nginx was kept from its core by the host or by other processes. */
  disturbed: number;
}

export type Triple = Record<Arm, Window>;

/** What is measured. */
export interface Subject {
  /** Of the process whose CPU is its part of the other core; null: it has none. */
  pid: number | null;
  /** Resolves when it is so. */
  turn(on: boolean): Promise<void>;
}

export interface WindowsOptions {
  count: number;
  seconds: number;
  load: WindowLoad;
  subject: Subject;
  burner: Burner;
  nginxPid: number;
  nginxCore: number;
}

/** The first ones only tell how much the agent takes. */
const TRIAL = 3;

export async function measureWindows(options: WindowsOptions): Promise<Triple[]> {
  const { count } = options;
  const random = seededRandom(count);
  const parts: number[] = [];
  for (let number = 0; number < TRIAL; number++) parts.push((await measureArm('on', 0, options)).part);
  const triples: Triple[] = [];
  for (let number = 1; number <= count; number++) {
    const measured: Partial<Triple> = {};
    for (const arm of shuffled(ARMS, () => random.next()))
      measured[arm] = await measureArm(arm, spreadOf(parts).median, options);
    const triple = measured as Triple;
    parts.push(triple.on.part);
    triples.push(triple);
    if (number % 10 === 0) process.stdout.write(`${number} of ${count} windows of each kind\n`);
  }
  return triples;
}

async function measureArm(arm: Arm, part: number, options: WindowsOptions): Promise<Window> {
  const { seconds, load, subject, burner, nginxPid, nginxCore } = options;
  await subject.turn(arm === 'on');
  burner.burn(arm === 'control' ? part : 0);
  const besides = arm === 'control' ? burner.pid : subject.pid;
  const { before, after, sent } = await load.measure(seconds, () => ({
    nginx: taskTimes(nginxPid),
    stolenNs: stolenNs(nginxCore),
    besidesNs: besides === null ? 0 : processNs(besides),
  }));
  burner.burn(0);
  if (sent.answered < sent.sent)
    throw new Error(`bench: ${sent.sent - sent.answered} requests went unanswered`);
  const ns = sent.elapsedMs * 1e6;
  return {
    requests: sent.sent,
    perSecond: (sent.sent / sent.elapsedMs) * 1000,
    nginxUsPerRequest: (after.nginx.cpuNs - before.nginx.cpuNs) / 1000 / sent.sent,
    sleepsPerRequest: (after.nginx.sleeps - before.nginx.sleeps) / sent.sent,
    part: (after.besidesNs - before.besidesNs) / ns,
    disturbed: (after.nginx.waitedNs - before.nginx.waitedNs + after.stolenNs - before.stolenNs) / ns,
  };
}

function shuffled<T>(items: readonly T[], next: () => number): T[] {
  return items
    .map((item) => ({ item, at: next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
