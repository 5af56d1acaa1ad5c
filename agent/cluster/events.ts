// Tells in Kubernetes Events, on the pod, what the log says of it: `kubectl describe pod` shows them.
//
// An Event is named after its pod and its text, so that an agent that begins anew says nothing twice: the API server
// answers 409. A change that was seen to happen gets a name of its own, since its text may have been true before.
import { createHash } from 'node:crypto';
import { type Api, pathOf } from '../../webhook/cluster/api.ts';
import { isStatus } from '../../webhook/cluster/api-error.ts';
import type { Clock } from '../../webhook/cluster/clock.ts';
import { seldom, sentenceOf } from '../../webhook/cluster/log.ts';
import type { Log } from '../log.ts';
import type { Saying } from './saying.ts';

export interface Events {
  observe(saying: Saying): void;
  stop(): void;
  counts: Readonly<EventCounts>;
}

export interface EventCounts {
  sent: number;
  /** Told already, by an agent before this one. */
  known: number;
  failed: number;
  /** More was to be said than is held. */
  dropped: number;
}

const reasons = { mirroring: 'Mirroring', released: 'MirroringEnded', refused: 'NotMirroring' };
const maxText = 1000;
const maxRemembered = 5000;

export function createEvents({
  api,
  instance,
  clock,
  wallClock = Date.now,
  log,
  perSecond = 2,
  burst = 25,
  maxWaiting = 500,
}: {
  api: Pick<Api, 'create'>;
  /** The pod that tells. */
  instance: string;
  clock: Clock;
  wallClock?: () => number;
  log: Log;
  perSecond?: number;
  burst?: number;
  maxWaiting?: number;
}): Events {
  const counts: EventCounts = { sent: 0, known: 0, failed: 0, dropped: 0 };
  /** What was said last of each container: one that restarts says nothing new. */
  const last = new Map<string, string>();
  const waiting: { saying: Saying; text: string; changed: boolean }[] = [];
  const stopping = new AbortController();
  const warn = seldom(log.warn.bind(log), clock.now, 3_600_000);
  let allowance = burst;
  let countedAt = clock.now();
  let sending = false;

  const send = async ({ saying, text, changed }: (typeof waiting)[number]) => {
    const { kind, pod, container, isProblem } = saying;
    const now = wallClock();
    const hash = createHash('sha256').update(JSON.stringify([pod.uid, container, text, changed ? now : 0]));
    const time = `${new Date(now).toISOString().slice(0, 19)}Z`;
    const { namespace } = pod;
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${pod.name.slice(0, 200)}.${hash.digest('hex').slice(0, 16)}`, namespace },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid, namespace },
      reason: reasons[kind],
      message: text.length > maxText ? `${text.slice(0, maxText - 1)}…` : text,
      type: isProblem ? 'Warning' : 'Normal',
      source: { component: 'podmirror-agent', host: pod.nodeName },
      reportingComponent: 'podmirror-agent',
      reportingInstance: instance,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    };
    try {
      await api.create(pathOf({ namespace }, 'events'), event, { signal: stopping.signal });
      counts.sent += 1;
    } catch (error) {
      if (stopping.signal.aborted) return;
      if (isStatus(error, 409)) counts.known += 1;
      else {
        // An Event is a courtesy.
        counts.failed += 1;
        warn(`an event is not told: ${sentenceOf(error)}`);
      }
    }
  };

  const sendAll = async () => {
    sending = true;
    while (waiting.length > 0 && !stopping.signal.aborted) {
      const now = clock.now();
      allowance = Math.min(burst, allowance + ((now - countedAt) / 1000) * perSecond);
      countedAt = now;
      if (allowance < 1) {
        await clock.sleep(1000 / perSecond, stopping.signal);
        continue;
      }
      allowance -= 1;
      const next = waiting.shift();
      if (next) await send(next);
    }
    sending = false;
  };

  return {
    observe(saying) {
      const { kind, pod, container, because, isOver } = saying;
      // Of a pod that has gone nobody reads, and a container that ended tells so itself.
      if (isOver) return;
      const key = `${pod.uid} ${container ?? ''}`;
      const of = container === undefined ? '' : ` container ${container}`;
      const text = { mirroring: 'mirroring', released: 'no longer mirroring', refused: 'not mirroring' }[
        kind
      ];
      const sentence = `${text}${of}: ${because}`;
      const before = last.get(key);
      if (before === sentence) return;
      if (last.size >= maxRemembered) last.clear();
      last.set(key, sentence);
      if (waiting.length >= maxWaiting) counts.dropped += 1;
      else waiting.push({ saying, text: sentence, changed: before !== undefined });
      if (!sending) void sendAll();
    },
    stop: () => stopping.abort(),
    counts,
  };
}
