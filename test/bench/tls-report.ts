/** The HTTPS rows as a page that a person would paste into the README. */
import type { Ledger } from '../../bpf/index.d.ts';
import { type Machine, machineLine } from './machine.ts';
import { markdownTable } from './markdown.ts';
import { formatQuartiles, medianInterval, spreadOf } from './statistics.ts';
import type { Arm, Triple } from './windows.ts';

export interface TlsRow {
  /** Of the agent: `secrets`, `calls`. */
  mode: string;
  name: string;
  /** The ratio that the issue asks for, by secrets. */
  asked: number;
  triples: readonly Triple[];
  exchanges: Ledger['exchanges'];
  bytes: Ledger['bytes'];
}

export function renderTlsReport(rows: readonly TlsRow[], machine: Machine): string {
  return `# Bench: HTTPS

${machineLine(machine)}

nginx with one worker on core 0; wrk, as fast as it goes, and the agent on core 1; TLS 1.3 on loopback. Triples of windows in random
order: **off**, the agent mirrors an empty cgroup; **control**, the same beside a process that only takes as much of core 1 as the
agent does; **on**, the agent mirrors nginx. Load average at the end: ${machine.load.toFixed(1)}.

${markdownTable([
  [
    'by',
    'load',
    'off, µs of nginx per request',
    'on',
    'on ÷ off (95 %)',
    'on ÷ control (95 %)',
    'agent, µs per exchange',
  ],
  ...rows.map((row) => [
    row.mode,
    row.name,
    formatQuartiles(row.triples.map(({ off }) => off.nginxUsPerRequest)),
    formatQuartiles(row.triples.map(({ on }) => on.nginxUsPerRequest)),
    ratio(row.triples, 'off'),
    ratio(row.triples, 'control'),
    formatQuartiles(row.triples.map(({ on }) => (on.part * 1e6) / on.perSecond)),
  ]),
])}

Asked of on ÷ off, by secrets: ${[...new Map(rows.map(({ name, asked }) => [name, asked]))].map(([name, asked]) => `${name} ${asked}`).join('; ')}.

${markdownTable([
  ['by', 'load', 'captured', 'delivered', 'dropped', 'bytes seen', 'bytes copied'],
  ...rows.map(({ mode, name, exchanges, bytes }) => [
    mode,
    name,
    exchanges.captured.toLocaleString('en'),
    exchanges.delivered.toLocaleString('en'),
    Object.entries(exchanges.dropped)
      .filter(([, n]) => n > 0)
      .map(([reason, n]) => `${reason} ${n}`)
      .join(', ') || 'none',
    bytes.seen.toLocaleString('en'),
    bytes.copied.toLocaleString('en'),
  ]),
])}
`;
}

function ratio(triples: readonly Triple[], to: Exclude<Arm, 'on'>): string {
  const ratios = triples.map((triple) => triple.on.nginxUsPerRequest / triple[to].nginxUsPerRequest);
  const [low, high] = medianInterval(ratios);
  return `${spreadOf(ratios).median.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`;
}
