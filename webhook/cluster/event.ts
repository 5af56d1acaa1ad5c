// A Kubernetes Event, as people find it with `kubectl describe` and `kubectl get events`.
import { createHash } from 'node:crypto';
import { pathOf } from './api.ts';

export interface EventFacts {
  namespace: string;
  /** What it is about. */
  about: { apiVersion: string; kind: string; name: string; uid: string };
  /** In CamelCase. */
  reason: string;
  /** Cut at 1,000 characters: the API server takes 1,024. */
  text: string;
  isWarning: boolean;
  /** Seen to become so, not found to be so. */
  changed: boolean;
  /** Who tells: a component, on a node where that matters, and its pod. */
  source: { component: string; host?: string | undefined };
  instance: string;
  /** Milliseconds since the epoch. */
  nowMs: number;
}

const maxText = 1000;

/**
 * Where to create it, and the object. It is named after what it is about and its text, so that whoever begins anew says
 * nothing twice: the API server answers 409, and the Event that is there stays as it is. A change that was seen to happen
 * gets a name of its own, since its text may have been true before. Only `create` is needed.
 */
export function eventOf(facts: EventFacts): { path: string; event: object } {
  const { namespace, about, reason, text, isWarning, changed, source, instance, nowMs } = facts;
  const time = `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
  const hash = createHash('sha256').update(JSON.stringify([about.uid, reason, text, changed ? nowMs : 0]));
  // What is cut may end in a sign that no name may have before a dot.
  const stem = about.name.slice(0, 200).replace(/[-.]+$/, '');
  const { apiVersion, kind, name, uid } = about;
  const event = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${stem}.${hash.digest('hex').slice(0, 16)}`, namespace },
    involvedObject: { apiVersion, kind, name, uid, namespace },
    reason,
    message: text.length > maxText ? `${text.slice(0, maxText - 1)}…` : text,
    type: isWarning ? 'Warning' : 'Normal',
    source,
    reportingComponent: source.component,
    reportingInstance: instance,
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  };
  return { path: pathOf({ namespace }, 'events'), event };
}
