/** The capture addon: the kernel side and everything that touches captured bytes. Linux only, Node ≥ 24. */

/** Limits of one capture; every queue is bounded, what does not fit is dropped by reason, on the ledger. */
export interface CaptureOptions {
  /** Name of this node, put on every batch. Default: the host name. */
  node?: string;
  /** Version of the agent, put on every batch. */
  agentVersion?: string;
  /** Kernel ring in bytes; a power of two, at least 65536. Default 8 MiB. */
  ringBytes?: number;
  /** Connections followed at once; the one idle longest leaves first. Default 32768. */
  maxFlows?: number;
  /**
   * Memory that all connections together may hold: segments, records, requests that wait for their answers. Default 64 MiB,
   * besides up to 5 KiB for each. Of the targets that hold more than their share the largest connections give way: bodies
   * first, then they are not read any more.
   */
  maxConnectionsBytes?: number;
  /** Bytes held per connection while segments are missing. Default 262144. */
  maxFlowBytes?: number;
  /** Bytes of finished exchanges held for `nextBatch`. Default 32 MiB. Oldest bodies go first, then oldest exchanges. */
  maxQueueBytes?: number;
  /** Encoded size at which a batch is closed. Default 1 MiB. */
  maxBatchBytes?: number;
  /** Bytes kept of each request body. Default 65536. */
  maxBodyBytes?: number;
  /** Names of response headers that are kept, any case. Default: a short list of harmless ones. */
  responseHeaders?: string[];
  /**
   * How TLS is read. `secrets`: by what TLS libraries log of their handshakes, with a probe that is hit a few times a
   * connection. `calls`: by probes on their read and write functions. `auto` (the default): by secrets, and by calls where
   * these are not to be had. `off`: not at all.
   */
  tlsMode?: 'auto' | 'secrets' | 'calls' | 'off';
}

/** Whose traffic a cgroup is; copied to every exchange. */
export interface Identity {
  name: string;
  namespace?: string;
  pod?: string;
  podUid?: string;
  container?: string;
  workload?: string;
}

export interface Target {
  /** Absolute path of a cgroup2 directory. */
  cgroup: string;
  identity: Identity;
  /**
   * For the cgroup of a pod: what lies right below is told apart. The exchanges of a child that is selected are its; those
   * of one that is not (yet) wait up to ten seconds and 4 MiB for that, and are dropped as `unattributed` otherwise. A child
   * that is selected goes on with connections that began before. `identity` is shown, never put on an exchange.
   */
  perChild?: boolean;
}

/** One encoded `podmirror.v1.ExchangeBatch`. Say with `settle` what became of it. */
export interface Batch {
  /** 32 hex digits; the id inside `bytes`. */
  id: string;
  bytes: Buffer;
  exchanges: number;
}

/**
 * The account. `captured = delivered + Σ dropped + inFlight` for exchanges, at any time;
 * `seen = copied + Σ elided + Σ lost` for payload bytes in the kernel; and
 * `copied = parsed + Σ discarded + held` for what the agent made of them.
 * Numbers are since the capture began.
 */
export interface Ledger {
  exchanges: {
    /** Requests whose first byte was recognised. */
    captured: number;
    delivered: number;
    dropped: Record<string, number>;
    inFlight: number;
    /** Bodies taken out of exchanges in the queue, or of requests not yet answered, to make room; these stay, marked `body_truncated`. */
    bodiesStripped: number;
  };
  bytes: {
    /** TCP payload of the targets, both directions, retransmissions included. */
    seen: number;
    copied: number;
    /** Not copied because nobody reads it, by reason: response_body, client_side, not_http, … */
    elided: Record<string, number>;
    /** Wanted but lost, by reason: ring_full, … */
    lost: Record<string, number>;
    parsed: number;
    /** Copied but not part of an exchange, by reason: retransmission, out_of_window, … */
    discarded: Record<string, number>;
    /** In reassembly, or between the kernel and the agent. */
    held: number;
  };
  /** All three sums hold. */
  closes: boolean;
  /**
   * What may have lost something and is no number of bytes or exchanges, counted; empty when nothing of it happened.
   * `lost_calls`: of TLS libraries, of which nothing is known; answers behind one are not paired.
   * `lost_ends`: of connections, whose packet found the ring full; `unreadable_packets`: without a readable IP or TCP header.
   * `unfinished_copies`: of packets, which took longer than 50 ms since their thread was held up, while all that came behind waited.
   * `displaced_wishes`: that one connection forgot what another had asked of the kernel, which costs copies until it asks again.
   */
  incidents: Record<string, number>;
}

export interface TargetCoverage {
  cgroup: string;
  identity: Identity;
  /** Wall clock in ms since the epoch, null: never. */
  selectedAtMs: number;
  lastExchangeAtMs: number | null;
  exchanges: number;
  /** Connections by what their first bytes were: http1, http2, tls, proxy, other, client_side, joined_late. */
  connections: Record<string, number>;
  tls: TlsCoverage;
  /** Sentences about what is not covered and why; empty when all is well. */
  notes: string[];
}

/** Connections that began while they were followed. */
export interface TlsCoverage {
  /** That began with a TLS handshake. */
  handshakes: number;
  /** Of which application data was decrypted and verified. */
  decrypted: number;
  /** Not read, or not any more, by a reason for people. */
  dark: Record<string, number>;
  /** Read by calls of their library, by the reason why not by their packets. */
  called: Record<string, number>;
  /** Of `called`: what went before the probes stood was not read, and their exchanges say `joined_late`. */
  calledLate: number;
  processes: TlsProcess[];
  /**
   * Libraries on whose read and write functions probes stand, and where; they cost the target. With `tlsMode` `auto` that is so
   * while it has connections that cannot be decrypted (older than the capture, of a suite that is not covered, of a library
   * that hands out no secrets, or whose probe is `unarmed` or `contradicted`), and up to 16 s after the last of the latter two kinds; empty: none stand.
   */
  calls: string[];
}

/**
 * What proves the probe of a process, from nothing to the best, and what speaks against it:
 * `none`: no probe stands. `unknown`: one stands on the library's file; whether it does in this process is not known (yet).
 * `armed`: its breakpoint stands in this process. `proven`: records of a connection verified with a secret that this process
 * logged there. `unarmed`: its breakpoint does not stand in this process; `probe` says why. `contradicted`: three connections of
 * the target that began since its probes stand were encrypted by their server, and nothing was logged, here nor in another
 * process of it. For the latter two, and with `tlsMode` `auto`, calls are tried as for a library without a key log function.
 */
export type TlsProof = 'none' | 'unknown' | 'armed' | 'proven' | 'unarmed' | 'contradicted';

/** A process of the target and one file with a TLS library that it has in memory, or none. */
export interface TlsProcess {
  pid: number;
  executable: string;
  library?: string;
  /** "OpenSSL 3.0.19". */
  version?: string;
  buildId?: string;
  /** Where the probe stands, or why there is none. */
  probe: string;
  /** A probe stands on the file. */
  attached: boolean;
  /** Its breakpoint stands in this process; null: not known (yet). */
  armed: boolean | null;
  /** That this process logged since the probe stands; 0 is no failure. */
  secrets: number;
  /** Connections whose records verified with a secret that this process logged there. */
  verified: number;
  proof: TlsProof;
}

export interface Coverage {
  targets: TargetCoverage[];
  /**
   * What became of the secrets that TLS libraries logged, counted, never shown: `secrets` taken, `lost_…` and why,
   * `unclaimed` (no connection asked for them), `hits_by_others` than targets, `probes` that stand.
   */
  secrets: Record<string, number>;
}

/**
 * Thrown by the constructor and `select`. `code` says what is missing:
 * `NO_BTF`, `NO_CAPABILITY`, `NO_CGROUP2`, `KERNEL_FEATURE`, `BAD_OPTION`, `NOT_FOUND`, `CLOSED`, `INTERNAL`.
 * `message` ends with what to do about it.
 */
export type CaptureErrorCode =
  | 'NO_BTF'
  | 'NO_CAPABILITY'
  | 'NO_CGROUP2'
  | 'KERNEL_FEATURE'
  | 'BAD_OPTION'
  | 'NOT_FOUND'
  | 'CLOSED'
  | 'INTERNAL';

export class Capture {
  /** Loads the BPF programs once. Throws an Error with a `code` of CaptureErrorCode. */
  constructor(options?: CaptureOptions);
  /** Begins to capture a cgroup and all below it; again for the same cgroup, replaces its identity. Ends its exclusion. */
  select(target: Target): void;
  /** Nothing of this cgroup leaves the kernel, though one around it is selected; until it is selected or released. */
  exclude(cgroup: string): void;
  /** Stops at once, open connections too; with `perChild`, for all below. False when it was not selected. */
  release(cgroup: string): boolean;
  /** The next batch, or null after `maxWaitMs` or once closed and empty. One call at a time. */
  nextBatch(maxWaitMs: number): Promise<Batch | null>;
  /** Books a batch: delivered, or dropped for a reason in snake_case such as `rejected`, `shutdown`. False: unknown id. */
  settle(batchId: string, outcome: 'delivered' | { dropped: string }): boolean;
  ledger(): Ledger;
  coverage(): Coverage;
  /** Detaches every probe and finishes what is in the ring; `nextBatch` still returns what is queued, then null. */
  stop(): void;
  /** `stop`, and frees everything. What is queued is booked as dropped `shutdown`. Idempotent. */
  close(): void;
}

/** Where the addon finds cgroup2: "/sys/fs/cgroup", or ".../unified" in hybrid mode. Throws NO_CGROUP2. */
export function cgroup2Mount(): string;
