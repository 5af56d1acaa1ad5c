/** The HTTPS rows as a page that a person would paste into the README. */
import type { Ledger } from '../../bpf/index.d.ts';
import { type Machine, machineLine } from './machine.ts';
import { markdownTable } from './markdown.ts';
import { formatQuartiles, medianInterval, spreadOf } from './statistics.ts';
import type { Arm, Triple } from './windows.ts';

export interface TlsRow {
  /** `secrets`, `neighbour` or `calls` by the agent, or `symbols`. */
  way: string;
  name: string;
  rate: number;
  /** The ratio that is asked for, by secrets. */
  asked: number;
  triples: readonly Triple[];
  /** The agent's, when there is one. */
  ledger: Ledger | null;
}

export function renderTlsReport(rows: readonly TlsRow[], machine: Machine): string {
  const captured = rows.flatMap(({ ledger, ...row }) => (ledger ? [{ ...row, ledger }] : []));
  return `# Bench: HTTPS

${machineLine(machine)}

nginx with one worker on core 0, the client and the agent on core 1, TLS 1.3 on loopback at a fixed rate of requests. Triples of
windows in random order within each: **off**, the agent mirrors an empty cgroup; **control**, the same beside a process that only
takes as much of core 1 as the agent does; **on**, the agent mirrors nginx. **neighbour**: it mirrors another nginx of the same
library by its secrets, and of the one that is measured, which is no target, not a byte was seen. **symbols** is no agent but the kernel's own uprobe
events at the entry and the return of SSL_read and SSL_write, which copy nothing: less than any tool takes that reads requests
there. Load average at the end: ${machine.load.toFixed(1)}.

${markdownTable([
  [
    'by',
    'load',
    'requests per second',
    'off, µs of nginx per request',
    'on',
    'on ÷ off (95 %)',
    'control ÷ off (95 %)',
    'agent, µs per exchange',
  ],
  ...rows.map((row) => [
    row.way,
    row.name,
    row.rate.toLocaleString('en'),
    formatQuartiles(row.triples.map(({ off }) => off.nginxUsPerRequest)),
    formatQuartiles(row.triples.map(({ on }) => on.nginxUsPerRequest)),
    ratio(row.triples, 'on'),
    row.way === 'symbols' ? '' : ratio(row.triples, 'control'),
    row.ledger ? formatQuartiles(row.triples.map(({ on }) => (on.part * 1e6) / on.perSecond)) : '',
  ]),
])}

Asked of on ÷ off, by secrets: ${[...new Map(rows.map(({ name, asked }) => [name, asked]))].map(([name, asked]) => `${name} ${asked}`).join('; ')}.

${markdownTable([
  [
    'by',
    'load',
    'captured',
    'delivered',
    'dropped',
    'bytes lost',
    'bytes seen per exchange',
    'bytes copied per exchange',
  ],
  ...captured.map(({ way, name, ledger: { exchanges, bytes } }) => [
    way,
    name,
    exchanges.captured.toLocaleString('en'),
    exchanges.delivered.toLocaleString('en'),
    counts(exchanges.dropped),
    counts(bytes.lost),
    Math.round(bytes.seen / exchanges.captured).toLocaleString('en'),
    Math.round(bytes.copied / exchanges.captured).toLocaleString('en'),
  ]),
])}
`;
}

function counts(byReason: Readonly<Record<string, number>>): string {
  const some = Object.entries(byReason).filter(([, n]) => n > 0);
  return some.map(([reason, n]) => `${reason} ${n.toLocaleString('en')}`).join(', ') || 'none';
}

function ratio(triples: readonly Triple[], of: Exclude<Arm, 'off'>): string {
  const ratios = triples.map((triple) => triple[of].nginxUsPerRequest / triple.off.nginxUsPerRequest);
  const [low, high] = medianInterval(ratios);
  return `${spreadOf(ratios).median.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`;
}
