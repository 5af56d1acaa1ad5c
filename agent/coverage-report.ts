// What a processor is told of this agent's coverage, small enough to be taken, and what of it is news.
import { createHash } from 'node:crypto';
import type { Coverage, Ledger, TargetCoverage, TlsProcess } from '../bpf/index.d.ts';
import type { CoverageReport } from '../processor/coverage/report.ts';

/** Coverage as the agent's own page has it. */
export interface AgentCoverage {
  /** `because`: the rule that asks for it, in a cluster. */
  targets: (TargetCoverage & { because?: string | null })[];
  /** In a cluster. */
  refused?: CoverageReport['refused'];
  cluster?: { trouble: string | null };
  notes: string[];
  secrets: Coverage['secrets'];
}

// What the processor takes (processor/coverage/report.ts).
export const maxReportBytes = 1024 * 1024;
// A server with thousands of processes says the same of most of them; then the targets with the smallest numbers tell less.
const processLimits = [Number.POSITIVE_INFINITY, 100, 10, 0];

/** Counts, names and sentences: of secrets the addon tells how many there were, and not even that is sent as a whole. */
export function reportOf(
  { targets, refused = [], ...coverage }: AgentCoverage,
  { exchanges, bytes, closes }: Ledger,
  about: Pick<CoverageReport, 'node' | 'agentVersion' | 'atMs'>,
): CoverageReport {
  const { captured, delivered, dropped, inFlight } = exchanges;
  return {
    ...about,
    exchanges: { captured, delivered, dropped, inFlight },
    lostBytes: bytes.lost,
    ledgerCloses: closes,
    targets,
    refused,
    notes: notesOf(coverage),
  };
}

/** What the API server does not tell is not mirrored either. */
const notesOf = ({ cluster, notes }: Pick<AgentCoverage, 'cluster' | 'notes'>): string[] =>
  cluster?.trouble ? [...notes, cluster.trouble] : notes;

/** As JSON of at most `maxBytes`: processes are left out first, then targets, and it says so. */
export function encodeReport(report: CoverageReport, maxBytes = maxReportBytes): Buffer {
  for (const limit of processLimits) {
    const bytes = encode({
      ...report,
      targets: report.targets.map((target) => fewerProcesses(target, limit)),
    });
    if (bytes.length <= maxBytes) return bytes;
  }
  let kept = report.targets.length + report.refused.length;
  for (;;) {
    kept = Math.floor(kept / 2);
    const bytes = encode(fewerTargets(report, kept));
    if (bytes.length <= maxBytes || kept === 0) return bytes;
  }
}

function fewerProcesses(target: CoverageReport['targets'][number], limit: number): typeof target {
  const { processes } = target.tls;
  if (processes.length <= limit) return target;
  // Those that are not read are what somebody looks for.
  const kept = processes.toSorted((a, b) => Number(isRead(a)) - Number(isRead(b))).slice(0, limit);
  const note = `${processes.length - limit} more processes are not told of here, for want of room: the agent's own /coverage has them`;
  return { ...target, tls: { ...target.tls, processes: kept }, notes: [...target.notes, note] };
}

type ToldProcess = CoverageReport['targets'][number]['tls']['processes'][number];

const isRead = ({ attached, proof }: ToldProcess): boolean =>
  attached && proof !== 'unarmed' && proof !== 'contradicted';

function fewerTargets(report: CoverageReport, kept: number): CoverageReport {
  const { targets, refused, notes } = report;
  const left = Math.max(0, targets.length - kept);
  const note = `${left} targets are not told of here, for want of room: the agent's own /coverage has them`;
  return {
    ...report,
    targets: targets.slice(0, kept).map((target) => fewerProcesses(target, 0)),
    refused: refused.slice(0, kept),
    notes: [...notes.slice(0, kept), ...(left === 0 ? [] : [note])],
  };
}

const encode = (report: CoverageReport): Buffer => Buffer.from(JSON.stringify(report));

/**
 * The same text as long as there is nothing that a person would wait for: numbers that grow are no news, one that is no longer
 * 0 is. Nor is another process of the same program, whose probe has yet to be proven: servers make them all the time.
 */
export function newsKey({ targets, refused, ...coverage }: AgentCoverage): string {
  const news = targets.map(({ cgroup, identity, because, exchanges, connections, tls, notes }) => [
    cgroup,
    identity,
    because,
    exchanges > 0,
    counted(connections),
    [tls.handshakes > 0, tls.decrypted > 0, counted(tls.called), counted(tls.dark), tls.calls],
    [...new Set(tls.processes.flatMap(programNews))].sort(),
    withoutNumbers(notes),
  ]);
  return createHash('sha256')
    .update(JSON.stringify([news, refused, withoutNumbers(notesOf(coverage))]))
    .digest('hex');
}

function programNews({ pid: _, secrets: __, armed: ___, verified, proof, ...program }: TlsProcess): string[] {
  const text = JSON.stringify(program);
  const isSaid = verified > 0 || proof === 'unarmed' || proof === 'contradicted';
  return isSaid ? [text, `${text} ${proof}`] : [text];
}

const counted = (counts: Record<string, number>): string[] =>
  Object.keys(counts)
    .filter((key) => (counts[key] ?? 0) > 0)
    .sort();

const withoutNumbers = (notes: readonly string[]): string[] => notes.map((note) => note.replace(/\d+/g, '#'));
