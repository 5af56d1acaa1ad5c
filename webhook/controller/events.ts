// Tells people in Kubernetes Events what was decided, on the workload that it was decided for.
//
// An Event is named after its owner and its text, so that a controller that begins anew says nothing twice: the API
// server answers 409 and the Event that is there stays as it is. A change that was seen to happen gets a name of its
// own, since its text may have been true before. Only `create` is needed.
import { createHash } from 'node:crypto';
import { type Api, pathOf } from '../cluster/api.ts';
import { ApiError, isStatus } from '../cluster/api-error.ts';
import { backoffMs } from '../cluster/backoff.ts';
import type { Clock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { FILTERS_NAME } from '../cluster/filters.ts';
import { type Log, seldom, sentenceOf } from '../cluster/log.ts';
import type { KnownPod, Owner } from '../cluster/view.ts';
import type { Verdict } from '../intent/model.ts';
import type { Desired } from './desired.ts';
import { createOwners, workloadKeyOf } from './owner.ts';
import { inSlices, SLICE } from './slices.ts';

export type EventReason = 'MirroringEnabled' | 'MirroringDisabled' | 'MirroringIgnored' | 'FiltersRefused';

export interface Events {
  /** What is decided now; looked at a little later. */
  observe(desired: Desired): void;
  /** Sends until the signal aborts. Never fails. */
  lead(signal: AbortSignal): Promise<void>;
  counts: Readonly<EventCounts>;
}

export interface EventCounts {
  sent: number;
  /** Told already by an earlier leader. */
  known: number;
  failed: number;
  /** More was to be said than is held. */
  dropped: number;
}

interface Saying {
  reason: EventReason;
  text: string;
}

/** And the pod of which it is true. */
interface Heard extends Saying {
  pod: KnownPod;
}

interface Waiting extends Saying {
  namespace: string;
  about: KnownPod | Owner;
  /** Seen to become so, not found to be so. */
  changed: boolean;
}

/** What was said last of a workload. */
interface Told {
  sayings: Saying[];
  /** The first look at which it had no pods any more. */
  goneSince?: number;
}

const maxText = 1000;
// A Deployment may have no pods for a moment, and a CronJob none for longer; one that is made again is told again.
const forgetMs = 600_000;

export function createEvents({
  api,
  cluster,
  clock,
  wallClock = Date.now,
  log,
  instance,
  perSecond = 10,
  burst = 25,
  maxWaiting = 2000,
  maxWorkloads = 20_000,
  lookMs = 1000,
}: {
  api: Pick<Api, 'get' | 'create'>;
  cluster: Pick<Cluster, 'settings' | 'pods' | 'filters' | 'filtersObject'>;
  clock: Clock;
  wallClock?: () => number;
  log: Log;
  /** The pod that tells. */
  instance: string;
  perSecond?: number;
  burst?: number;
  maxWaiting?: number;
  maxWorkloads?: number;
  lookMs?: number;
}): Events {
  const counts: EventCounts = { sent: 0, known: 0, failed: 0, dropped: 0 };
  const findOwner = createOwners({ api });
  const sayings = new WeakMap<Verdict, Saying[]>();
  /** Workloads that are worth a word. */
  const told = new Map<string, Told>();
  const waiting = new Map<string, Waiting>();
  let toldProblems: string | undefined;
  let latest: Desired | undefined;
  let alarm = new AbortController();
  /** Workloads of the last look for which there was no room. */
  let untold = 0;
  const warn = seldom(log.warn.bind(log), clock.now);

  const sayingsOf = (verdict: Verdict): Saying[] => {
    const known = sayings.get(verdict);
    if (known) return known;
    const [reason, word] = verdict.mirrored
      ? (['MirroringEnabled', 'enabled'] as const)
      : (['MirroringDisabled', 'disabled'] as const);
    const all = [
      { reason, text: `mirroring ${word}: ${verdict.because}` },
      ...verdict.warnings.map((warning) => ({
        reason: 'MirroringIgnored' as const,
        text: `ignored: ${warning}`,
      })),
    ];
    sayings.set(verdict, all);
    return all;
  };

  const enqueue = (key: string, saying: Waiting) => {
    const id = `${key} ${saying.text}`;
    if (waiting.size >= maxWaiting && !waiting.has(id)) counts.dropped += 1;
    else waiting.set(id, saying);
  };

  const look = function* (desired: Desired) {
    const workloads = new Map<string, Map<string, Heard>>();
    let seen = 0;
    // As they are now: more come and go while this looks.
    for (const pod of [...cluster.pods()]) {
      if (++seen % SLICE === 0) yield;
      const verdict = desired.verdictOf(pod);
      if (!verdict) continue;
      const key = workloadKeyOf(pod);
      const now = workloads.get(key) ?? new Map<string, Heard>();
      workloads.set(key, now);
      for (const saying of sayingsOf(verdict)) {
        if (!now.has(saying.text)) now.set(saying.text, { ...saying, pod });
      }
    }
    const at = clock.now();
    const isFull = told.size >= maxWorkloads;
    for (const [key, last] of told) {
      if (workloads.has(key)) continue;
      last.goneSince ??= at;
      if (isFull || at - last.goneSince >= forgetMs) told.delete(key);
    }
    let withoutRoom = 0;
    for (const [key, now] of workloads) {
      if (++seen % SLICE === 0) yield;
      if (!lookAt(key, [...now.values()])) withoutRoom += 1;
    }
    // Each once, though every look finds them again.
    counts.dropped += Math.max(0, withoutRoom - untold);
    untold = withoutRoom;
    lookAtFilters();
  };

  /** False when there is no room for it. None is made by forgetting another, which would then be told anew. */
  const lookAt = (key: string, now: Heard[]): boolean => {
    const before = told.get(key)?.sayings;
    const wasEnabled = before?.some(({ reason }) => reason === 'MirroringEnabled');
    const news = now.filter(
      ({ reason, text }) =>
        !before?.some((saying) => saying.text === text) && (reason !== 'MirroringDisabled' || wasEnabled),
    );
    // Of workloads that nobody asked about, there is nothing to keep.
    if (!before && news.length === 0) return true;
    if (!before && told.size >= maxWorkloads) return false;
    told.set(key, { sayings: now.map(({ reason, text }) => ({ reason, text })) });
    for (const { pod, ...saying } of news) {
      enqueue(key, { ...saying, namespace: pod.namespace, about: pod, changed: before !== undefined });
    }
    return true;
  };

  const lookAtFilters = () => {
    const { problems } = cluster.filters();
    const text = problems.map(({ where, wrong, instead }) => `${where}: ${wrong}. ${instead}`).join('; ');
    const object = cluster.filtersObject();
    if (text && text !== toldProblems && object) {
      enqueue('filters', {
        reason: 'FiltersRefused',
        text: `filters refused, so none is in force: ${text}`,
        namespace: cluster.settings.ownNamespace,
        about: { apiVersion: 'v1', kind: 'ConfigMap', name: FILTERS_NAME, uid: object.uid },
        changed: toldProblems !== undefined,
      });
    }
    toldProblems = text;
  };

  const send = async ({ reason, text, namespace, about, changed }: Waiting, signal: AbortSignal) => {
    const owner = 'containers' in about ? await findOwner(about, signal) : about;
    const now = wallClock();
    const time = `${new Date(now).toISOString().slice(0, 19)}Z`;
    const hash = createHash('sha256').update(JSON.stringify([owner.uid, reason, text, changed ? now : 0]));
    const name = `${owner.name.slice(0, 200).replace(/[-.]+$/, '')}.${hash.digest('hex').slice(0, 16)}`;
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: { ...owner, namespace },
      reason,
      message: text.length > maxText ? `${text.slice(0, maxText - 1)}…` : text,
      type: reason === 'MirroringIgnored' || reason === 'FiltersRefused' ? 'Warning' : 'Normal',
      source: { component: 'podmirror-webhook' },
      reportingComponent: 'podmirror-webhook',
      reportingInstance: instance,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    };
    await api.create(pathOf({ namespace }, 'events'), event, { signal });
  };

  /** Three attempts, then it is left: an Event is a courtesy. */
  const deliver = async (saying: Waiting, signal: AbortSignal) => {
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await send(saying, signal);
        counts.sent += 1;
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (isStatus(error, 409)) {
          counts.known += 1;
          return;
        }
        const isRefused = error instanceof ApiError && error.status >= 400 && error.status < 429;
        if (isRefused || attempt === 3) {
          counts.failed += 1;
          warn(`an event is not told: ${sentenceOf(error)}`);
          return;
        }
        await clock.sleep(backoffMs(attempt, clock, error), signal);
      }
    }
  };

  const lead = async (signal: AbortSignal) => {
    // What another leader said meanwhile is not known here; names tell what is old.
    told.clear();
    waiting.clear();
    toldProblems = undefined;
    untold = 0;
    latest = undefined;
    let allowance = burst;
    let countedAt = clock.now();
    let lookedAt = Number.NEGATIVE_INFINITY;
    const wake = () => alarm.abort();
    signal.addEventListener('abort', wake, { once: true });
    while (!signal.aborted) {
      const now = clock.now();
      if (latest && now - lookedAt >= lookMs) {
        lookedAt = now;
        const desired = latest;
        latest = undefined;
        await inSlices(look(desired), clock);
      }
      allowance = Math.min(burst, allowance + ((now - countedAt) / 1000) * perSecond);
      countedAt = now;
      const [next] = waiting;
      if (next && allowance >= 1) {
        allowance -= 1;
        waiting.delete(next[0]);
        await deliver(next[1], signal);
      } else if (next) {
        await clock.sleep(1000 / perSecond, signal);
      } else {
        // Much changes at once; what is said a second later is still news.
        if (!latest) await clock.sleep(60_000, alarm.signal);
        alarm = new AbortController();
        if (!signal.aborted) await clock.sleep(lookMs, signal);
      }
    }
    signal.removeEventListener('abort', wake);
  };

  return {
    observe(desired) {
      latest = desired;
      alarm.abort();
    },
    lead,
    counts,
  };
}
