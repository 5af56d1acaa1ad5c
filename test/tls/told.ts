/** What a capture says of itself, short enough for a failure's message. */
import type { Coverage, Ledger } from '../../bpf/index.d.ts';

export interface Telling {
  ledger(): Ledger;
  coverage(): Coverage;
}

export function told(capture: Telling): string {
  const { exchanges, bytes } = capture.ledger();
  const targets = capture.coverage().targets.map(({ connections, tls: { processes, ...tls }, notes }) => ({
    connections: Object.fromEntries(Object.entries(connections).filter(([, count]) => count > 0)),
    ...tls,
    attached: `${processes.filter(({ attached }) => attached).length} of ${processes.length} processes`,
    probes: [...new Set(processes.map(({ library, probe }) => `${library ?? '-'}: ${probe}`))],
    notes,
  }));
  return JSON.stringify({ exchanges, bytes, targets });
}
