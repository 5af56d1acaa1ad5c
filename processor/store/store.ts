// What the processor keeps. SQLite is one such store; PostgreSQL comes later.
import type { Exclusion, Origin } from '../connector/connector.ts';
import type { Exchange, Identity } from '../exchange.ts';
import type { AttackType } from '../inspection/attack-type.ts';
import type { Mark } from '../inspection/locate.ts';
import type { DropReason } from '../inspection/pool.ts';
import type { Match } from '../modsecurity/modsecurity.ts';

export interface Store {
  /** After this returns, the batch survives a crash. Throws StoreUnavailable when it cannot be kept. */
  accept(batch: {
    id: Uint8Array;
    body: Uint8Array;
    exchanges: number;
    nowMs: number;
  }): 'stored' | 'duplicate';
  /** What was accepted and is not finished. Costs nothing. */
  backlog(): { batches: number; bytes: number };
  /** The oldest unfinished batches after `afterSeq`. Counts the attempt, so that a fatal batch is known by it. */
  take(afterSeq: number, limit: number): Pending[];
  /** The exchange at `index` is about to be inspected: if the process dies now, that one is left out next time. Null: none is. */
  suspect(seq: number, index: number | null): void;
  /** Ends a batch together with all that it gave; never half of it. */
  finish(seq: number, outcome: Outcome): void;

  attacks(query: { type?: AttackType; limit: number; before?: Cursor }): Attack[];
  attack(id: number): (Attack & { recorded: Hit[] }) | undefined;
  stats(): Stats;

  /** Removes what is older or more than allowed. */
  prune(retention: Retention, nowMs: number): void;
  /** Writes something small. Throws StoreUnavailable. */
  probe(): void;
  close(): void;
}

export interface Pending {
  seq: number;
  body: Uint8Array;
  exchanges: number;
  /** How often it was taken, this time included. */
  attempts: number;
  /** Exchanges during whose inspection the process died. */
  skipped: number[];
}

export type LossReason = DropReason | 'process_crash' | 'undecodable';

export interface Outcome {
  inspected: number;
  /** Not inspected because the configuration says so. */
  excluded: Partial<Record<Exclusion, number>>;
  dropped: Partial<Record<LossReason, number>>;
  hits: NewHit[];
}

/** One malicious exchange. */
export interface NewHit {
  type: AttackType;
  target: Identity;
  endpoint: string;
  parameter: string;
  exchange: RecordedExchange;
  score: number;
  matches: Match[];
  /** The rule that decided. */
  deciding: number;
  /** Null: the matched part could not be located. */
  mark: Mark | null;
}

/** `origin` is absent in hits that an older podmirror recorded. */
export type RecordedExchange = Omit<Exchange, 'target'> & { origin?: Origin };

export interface Hit extends Omit<NewHit, 'type' | 'target' | 'endpoint' | 'parameter'> {
  id: number;
}

/** Hits of one type on one target, endpoint and parameter, each within an hour of the one before. */
export interface Attack {
  id: number;
  type: AttackType;
  target: Identity;
  endpoint: string;
  parameter: string;
  /** Unix time in milliseconds. */
  firstMs: number;
  lastMs: number;
  /** All, also those no longer recorded. */
  hits: number;
  score: number;
  /** Of the last hit: the client as far as it is known, and the peer of the connection, perhaps a proxy. */
  clientAddress: string;
  peerAddress: string;
  method: string;
  path: string;
  status: number | null;
}

/** Attacks come newest first; the next page begins below the last one seen. */
export interface Cursor {
  lastMs: number;
  id: number;
}

/** exchanges received = inspected + Σ excluded + Σ dropped + pending, at every moment. */
export interface Stats {
  batches: number;
  received: number;
  duplicateBatches: number;
  duplicateExchanges: number;
  inspected: number;
  excluded: Partial<Record<Exclusion, number>>;
  dropped: Partial<Record<LossReason, number>>;
  pending: number;
  hits: number;
}

export interface Retention {
  maxHits: number;
  keepDays: number;
}

/** The disk is full or gone, or the file locked; the same call may work later. */
export class StoreUnavailable extends Error {}
