// Tells people in Kubernetes Events what was decided, on the workload that it was decided for.
import { createAllowance } from '../cluster/allowance.ts';
import type { Api } from '../cluster/api.ts';
import { ApiError, isStatus } from '../cluster/api-error.ts';
import { backoffMs } from '../cluster/backoff.ts';
import type { Clock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { eventOf } from '../cluster/event.ts';
import { FILTERS_NAME } from '../cluster/filters.ts';
import { type Log, seldom, sentenceOf } from '../cluster/log.ts';
import type { KnownPod, Owner } from '../cluster/view.ts';
import { saysTheSame } from '../intent/filter.ts';
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
        !before?.some((saying) => saysTheSame(saying.text, text)) &&
        (reason !== 'MirroringDisabled' || wasEnabled),
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
    const { path, event } = eventOf({
      namespace,
      about: owner,
      reason,
      text,
      isWarning: reason === 'MirroringIgnored' || reason === 'FiltersRefused',
      changed,
      source: { component: 'podmirror-webhook' },
      instance,
      nowMs: wallClock(),
    });
    await api.create(path, event, { signal });
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
    const allowance = createAllowance({ perSecond, burst, clock });
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
      const [next] = waiting;
      if (next && allowance.take()) {
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
