// What comes of one admission request; effects and wire format are the app's.
import type { Problem } from '../intent/filters.ts';
import type { PodFacts, Verdict } from '../intent/model.ts';

/** RFC 6902; `path` is a JSON pointer (RFC 6901). */
export interface PatchOperation {
  op: 'add';
  path: string;
  value: unknown;
}

export interface Denial {
  /** `content`: what was written makes no sense (422). `policy`: it does, and is not allowed here (403). */
  because: 'content' | 'policy';
  /** What was refused, as its writer calls it, such as `ConfigMap podmirror/podmirror-filters`. */
  subject: string;
  problems: Problem[];
}

export interface Decision {
  /** Absent: allowed. */
  denial?: Denial;
  patch: PatchOperation[];
  /** Unbounded here; cut where they go on the wire. */
  warnings: string[];
  /** A mirrored pod whose class belongs in the intent ConfigMap. */
  remember?: { pod: PodFacts; verdict: Verdict };
}

/** Allowed, nothing to say. */
export const untouched: Decision = Object.freeze({ patch: [], warnings: [] });

export function allowedWith(warnings: string[]): Decision {
  return { patch: [], warnings };
}
