// An agent's coverage in a few lines: sums over its targets, and what is not covered.
import type { CoverageReport, ReportedTarget } from './report.ts';

/** A TLS library whose connections cannot be read, in one executable. */
export interface NotCovered {
  /** "Java", "GnuTLS 3.7.9"; the file where the library was not made out. */
  library: string;
  executable: string;
  why: string;
}

export interface Summary {
  targets: number;
  exchanges: CoverageReport['exchanges'];
  lostBytes: Record<string, number>;
  ledgerCloses: boolean;
  connections: Record<string, number>;
  tls: {
    handshakes: number;
    decrypted: number;
    called: Record<string, number>;
    dark: Record<string, number>;
  };
  /** At most `maxTold`, each with a target that has it. */
  notCovered: (NotCovered & { target: string })[];
  /** At most `maxTold`. */
  notes: string[];
}

// A list of many agents is looked over; one agent's own page has all.
const maxTold = 10;

// Of probes that stand and give nothing.
const vain = ['unarmed', 'contradicted'];

/** Nothing of a process in which no library was found: most processes speak no TLS. */
export function notCovered({ tls }: ReportedTarget): NotCovered[] {
  const found = tls.processes.flatMap(({ attached, library, version, executable, probe, proof = '' }) =>
    (attached && !vain.includes(proof)) || library === undefined
      ? []
      : [{ library: version ?? library, executable, why: probe }],
  );
  // A server has many processes of one kind.
  return [...new Map(found.map((one) => [JSON.stringify(one), one])).values()];
}

export function summaryOf({ exchanges, lostBytes, ledgerCloses, targets, notes }: CoverageReport): Summary {
  const sum = (of: (target: ReportedTarget) => number) =>
    targets.reduce((total, target) => total + of(target), 0);
  return {
    targets: targets.length,
    exchanges,
    lostBytes,
    ledgerCloses,
    connections: sumByKey(targets.map(({ connections }) => connections)),
    tls: {
      handshakes: sum(({ tls }) => tls.handshakes),
      decrypted: sum(({ tls }) => tls.decrypted),
      called: sumByKey(targets.map(({ tls }) => tls.called)),
      dark: sumByKey(targets.map(({ tls }) => tls.dark)),
    },
    notCovered: targets
      .flatMap((target) => notCovered(target).map((one) => ({ ...one, target: target.identity.name })))
      .slice(0, maxTold),
    notes: notes.slice(0, maxTold),
  };
}

function sumByKey(all: Record<string, number>[]): Record<string, number> {
  // Reasons are an agent's words: none of them may be mistaken for a property of objects.
  const sums = new Map<string, number>();
  for (const [key, count] of all.flatMap((counts) => Object.entries(counts)))
    sums.set(key, (sums.get(key) ?? 0) + count);
  return Object.fromEntries(sums);
}
