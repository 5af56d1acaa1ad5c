/** The results as a page that a person would paste into the README. */
import type { Completeness } from './completeness.ts';
import { markdownTable } from './markdown.ts';
import type { AgentFigures, Round } from './round.ts';
import { formatSpread, spreadOf } from './statistics.ts';

export interface Pair {
  off: Round;
  on: Round;
}

export interface Results {
  /** At the same rate with and without the agent. */
  fixed: readonly Pair[];
  full: readonly Pair[];
  completeness: Completeness;
  /** Output of the processor's own benchmark; null: there is none yet. */
  inspection: string | null;
  machine: { date: string; kernel: string; cpu: string; cores: number; command: string };
}

export function renderReport({ fixed, full, completeness, inspection, machine }: Results): string {
  return `# Bench

${machine.date} · Linux ${machine.kernel} · ${machine.cpu}, ${machine.cores} cores · \`${machine.command}\`

nginx with one worker on core 0, the client and the agent on core 1, a 1 KiB file over keep-alive on loopback.
${fixed.length} pairs of rounds each, agent off and on in alternation; each figure is the median (lowest–highest).

${costTable(`${whole(completeness.wantedPerSecond)} requests per second`, fixed)}

At full load the agent takes its share of the client's core, so nginx is asked less. A request costs nginx more when it is asked
less (compare the two columns "agent off"), and part of the ratio of this table may be that. How much was not measured.

${costTable('full load (wrk)', full)}

${completenessTable(completeness)}
${inspection === null ? '' : `\nProcessor, inspection:\n\n\`\`\`\n${inspection.trim()}\n\`\`\`\n`}`;
}

function costTable(title: string, pairs: readonly Pair[]): string {
  const spread = (values: readonly number[], digits: number) => formatSpread(spreadOf(values), digits);
  const row = (name: string, value: (round: Round) => number, digits = 2) => {
    const off = pairs.map((pair) => value(pair.off));
    const on = pairs.map((pair) => value(pair.on));
    const ratios = pairs.map((pair) => value(pair.on) / value(pair.off));
    return [name, spread(off, digits), spread(on, digits), spread(ratios, 3)];
  };
  const agents = pairs.flatMap(({ on }) => on.agent ?? []);
  const agentRow = (name: string, value: (agent: AgentFigures) => number, digits = 2) => [
    name,
    '',
    spread(agents.map(value), digits),
    '',
  ];
  return markdownTable([
    [title, 'agent off', 'agent on', 'on ÷ off'],
    row('nginx CPU, µs per request', ({ nginxUsPerRequest }) => nginxUsPerRequest),
    row('all CPU but the agent, µs per request', ({ machineUsPerRequest }) => machineUsPerRequest),
    row('requests per second', ({ perSecond }) => perSecond, 0),
    agentRow('agent CPU, µs per exchange', ({ usPerExchange }) => usPerExchange),
    agentRow('agent resident memory, MiB', ({ residentBytes }) => residentBytes / 2 ** 20, 0),
    agentRow('delivered ÷ answered requests', ({ delivered }) => delivered, 4),
  ]);
}

function completenessTable(completeness: Completeness): string {
  const { wantedPerSecond, perSecond, exchanges, lines, agentUsPerExchange, ledger } = completeness;
  return markdownTable([
    [`everything seen, at ${whole(wantedPerSecond)} per second`, ''],
    ['requests per second held', whole(perSecond)],
    ['exchanges ÷ access-log lines', `${whole(exchanges)} ÷ ${whole(lines)} = ${percent(completeness)}`],
    ['agent CPU, µs per exchange', agentUsPerExchange.toFixed(2)],
    ['ledger', `${ledger.closes ? 'closes' : 'DOES NOT CLOSE'}: ${ledgerLine(completeness)}`],
  ]);
}

function percent({ exchanges, lines }: Completeness): string {
  return `${((exchanges / lines) * 100).toFixed(exchanges === lines ? 0 : 4)} %`;
}

function ledgerLine({ ledger: { exchanges, bytes } }: Completeness): string {
  const reasons = [...Object.entries(exchanges.dropped), ...Object.entries(bytes.lost)].filter(
    ([, count]) => count > 0,
  );
  const lost = reasons.map(([reason, count]) => `${reason} ${whole(count)}`).join(', ');
  return `captured ${whole(exchanges.captured)}, delivered ${whole(exchanges.delivered)} since the agent's start, lost: ${lost || 'nothing'}`;
}

function whole(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: 0 });
}
