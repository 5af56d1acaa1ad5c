// What an agent tells of its coverage: the body of POST /v1/coverage. Counts and names only; what else is sent is left out.
import { z } from 'zod';

/** An agent leaves processes out before it sends more. */
export const maxReportBytes = 1024 * 1024;

// The body is bounded, so its parts need no bounds of their own but where they are keys or stand in a list of agents.
const text = z.string();
const count = z.int().min(0);
/** Counts by a kind or a reason. */
const counts = z.record(text, count);

const tlsProcess = z.object({
  pid: count,
  executable: text,
  library: text.optional(),
  version: text.optional(),
  buildId: text.optional(),
  /** Where the probe stands, or why there is none. */
  probe: text,
  attached: z.boolean(),
  /** Whether it stands in this process; an older agent does not tell this, nor the proof. */
  armed: z.boolean().nullish(),
  /** How many it logged. */
  secrets: count,
  /** Connections that verified with one of these. */
  verified: count.default(0),
  /** A word of `TlsProof` in the addon's contract; a newer agent may know more of them. */
  proof: text.optional(),
});

/** As `TargetCoverage` of the addon's contract, with the rule that asks for the target in a cluster. */
const target = z.object({
  cgroup: text,
  identity: z.object({
    name: text,
    namespace: text.optional(),
    pod: text.optional(),
    podUid: text.optional(),
    container: text.optional(),
    workload: text.optional(),
  }),
  because: text.nullish(),
  selectedAtMs: count,
  lastExchangeAtMs: count.nullable(),
  exchanges: count,
  connections: counts,
  tls: z.object({
    handshakes: count,
    decrypted: count,
    dark: counts,
    /** Read by calls of their library, by the reason why. An older agent does not tell. */
    called: counts.default({}),
    /** Of these, not from their beginning. */
    calledLate: count.default(0),
    processes: z.array(tlsProcess),
    calls: z.array(text),
  }),
  notes: z.array(text),
});

const report = z.object({
  node: text.min(1).max(253),
  agentVersion: text.min(1).max(64),
  /** By the agent's clock, as its other times are. Unix time in ms. */
  atMs: count,
  /** `captured = delivered + Σ dropped + inFlight`, as the agent's ledger has them. */
  exchanges: z.object({ captured: count, delivered: count, dropped: counts, inFlight: count }),
  /** Bytes that were wanted and lost, by reason. */
  lostBytes: counts,
  ledgerCloses: z.boolean(),
  targets: z.array(target),
  /** Containers that a cluster's rules leave out, and why. */
  refused: z.array(z.object({ namespace: text, pod: text, container: text.optional(), because: text })),
  /** Sentences about targets that are not there. */
  notes: z.array(text),
});

export type CoverageReport = z.output<typeof report>;
export type ReportedTarget = CoverageReport['targets'][number];

/** The sender's mistake; its message is for the answer, and quotes no value. */
export class BadReport extends Error {}

// Enough to see which of two versions is the newer.
const maxMistakes = 3;
const maxPlaceLength = 100;

/** Throws BadReport. What this version does not know is left out, so that a newer agent may tell more. */
export function readReport(body: Buffer): CoverageReport {
  const parsed = report.safeParse(parseJson(body));
  if (parsed.success) return parsed.data;
  const sentences = parsed.error.issues
    .slice(0, maxMistakes)
    .map(({ path, message }) => `${path.join('.').slice(0, maxPlaceLength) || 'all of it'}: ${message}`);
  throw new BadReport(sentences.join('; '), { cause: parsed.error });
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch (cause) {
    // The parser's own message quotes the text.
    throw new BadReport('it is no JSON', { cause });
  }
}
