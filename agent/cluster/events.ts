// Tells in Kubernetes Events, on the pod, what the log says of it: `kubectl describe pod` shows them.
import { createAllowance } from '../../webhook/cluster/allowance.ts';
import type { Api } from '../../webhook/cluster/api.ts';
import { isStatus } from '../../webhook/cluster/api-error.ts';
import type { Clock } from '../../webhook/cluster/clock.ts';
import { eventOf } from '../../webhook/cluster/event.ts';
import { seldom, sentenceOf } from '../../webhook/cluster/log.ts';
import { withoutNumbers } from '../../webhook/intent/filter.ts';
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
  const allowance = createAllowance({ perSecond, burst, clock });
  let sending = false;

  const send = async ({ saying, text, changed }: (typeof waiting)[number]) => {
    const { kind, pod, isProblem } = saying;
    const { namespace, name, uid } = pod;
    const { path, event } = eventOf({
      namespace,
      about: { apiVersion: 'v1', kind: 'Pod', name, uid },
      reason: reasons[kind],
      text,
      isWarning: isProblem,
      changed,
      source: { component: 'podmirror-agent', host: pod.nodeName },
      instance,
      nowMs: wallClock(),
    });
    try {
      await api.create(path, event, { signal: stopping.signal });
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
      if (!allowance.take()) {
        await clock.sleep(1000 / perSecond, stopping.signal);
        continue;
      }
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
      const said = `${text} ${withoutNumbers(because)}`;
      const before = last.get(key);
      if (before === said) return;
      if (last.size >= maxRemembered) last.clear();
      last.set(key, said);
      if (waiting.length >= maxWaiting) counts.dropped += 1;
      else waiting.push({ saying, text: sentence, changed: before !== undefined });
      if (!sending) void sendAll();
    },
    stop: () => stopping.abort(),
    counts,
  };
}
