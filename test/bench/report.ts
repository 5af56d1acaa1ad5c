/** The results as a page that a person would paste into the README. */
import type { Completeness } from './completeness.ts';
import { type Machine, machineLine } from './machine.ts';
import { markdownTable } from './markdown.ts';
import type { ProgramCost } from './program-cost.ts';
import type { AgentFigures, Round } from './round.ts';
import { formatSpread, medianInterval, spreadOf } from './statistics.ts';

export interface Pair {
  off: Round;
  on: Round;
}

export interface Results {
  /** At the same rate with and without the agent. */
  fixed: readonly Pair[];
  /** At the same rate with and without a process that only takes as much of the other core as the agent did. */
  control: { pairs: readonly Pair[]; part: number };
  full: readonly Pair[];
  program: ProgramCost;
  completeness: Completeness;
  /** Output of the processor's own benchmark; null: there is none yet. */
  inspection: string | null;
  machine: Machine;
}

/** Of a round's time; more, and the host or other processes have had a part in what nginx used. */
const DISTURBED = 0.02;

export function isDisturbed({ off, on }: Pair): boolean {
  return Math.max(off.disturbed, on.disturbed) > DISTURBED;
}

export function renderReport(results: Results): string {
  const { fixed, control, full, program, completeness, inspection, machine } = results;
  return `# Bench

${machineLine(machine)}

nginx with one worker on core 0, the client and the agent on core 1, a 1 KiB file over keep-alive on loopback.
Pairs of rounds, agent off and on in random order; each figure is the median (lowest–highest). A pair does not count when the host or
another process kept nginx from its core for more than ${percent(DISTURBED)} of a round. Load average at the end: ${machine.load.toFixed(1)}.

${costTable(`${whole(completeness.wantedPerSecond)} requests per second`, fixed)}

${verdict(fixed)} ${programLine(program, fixed)}

${controlLine(control, fixed)}

At full load the agent takes its share of the client's core, so nginx is asked less. A request costs nginx more when it is asked
less (compare the two columns "agent off"), and part of the ratio of this table may be that. How much was not measured.

${costTable('full load (wrk)', full)}

${verdict(full)}

${completenessTable(completeness)}
${inspection === null ? '' : `\nProcessor, inspection:\n\n\`\`\`\n${inspection.trim()}\n\`\`\`\n`}`;
}

const nginxRatio = ({ off, on }: Pair) => on.nginxUsPerRequest / off.nginxUsPerRequest;

function verdict(all: readonly Pair[]): string {
  const pairs = all.filter((pair) => !isDisturbed(pair));
  const [low, high] = medianInterval(pairs.map(nginxRatio));
  return (
    `${pairs.length} of ${all.length} pairs count. nginx CPU per request on ÷ off: median ${spreadOf(pairs.map(nginxRatio)).median.toFixed(3)}, ` +
    `its 95 % interval ${low.toFixed(3)}–${high.toFixed(3)} (bootstrap); of all ${all.length} pairs ${spreadOf(all.map(nginxRatio)).median.toFixed(3)}.`
  );
}

function controlLine({ pairs, part }: Results['control'], fixed: readonly Pair[]): string {
  const ratio = (of: readonly Pair[]) => spreadOf(of.map(nginxRatio)).median;
  const [low, high] = medianInterval(pairs.map(nginxRatio));
  return (
    `Control: beside a process that only takes ${percent(part)} of the other core, as the agent did, and touches nothing, nginx took ` +
    `${ratio(pairs).toFixed(3)} times as much (95 % interval ${low.toFixed(3)}–${high.toFixed(3)}, ${pairs.length} pairs): ` +
    `so much is this machine's, whose two processors share a core or a host. The agent's ratio over the control's: ${(ratio(fixed) / ratio(pairs)).toFixed(3)}.`
  );
}

function programLine(
  { runsPerRequest, nsPerRun, verifiedInstructions }: ProgramCost,
  pairs: readonly Pair[],
): string {
  const nsPerRequest = runsPerRequest * nsPerRun;
  const nginxNs = spreadOf(pairs.map(({ off }) => off.nginxUsPerRequest)).median * 1000;
  return (
    `By the kernel's own count (bpf_stats, some 50 ns of each run are the counting) the egress program runs ${runsPerRequest.toFixed(2)} times a request, ` +
    `${whole(nsPerRun)} ns each: ${percent(nsPerRequest / nginxNs, 1)} of nginx's time without the agent. ` +
    `${whole(verifiedInstructions)} verified instructions.`
  );
}

function costTable(title: string, all: readonly Pair[]): string {
  const pairs = all.filter((pair) => !isDisturbed(pair));
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
    row('times that nginx slept per request', ({ sleepsPerRequest }) => sleepsPerRequest, 3),
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
    [
      'exchanges ÷ access-log lines',
      `${whole(exchanges)} ÷ ${whole(lines)} = ${percent(exchanges / lines, exchanges === lines ? 0 : 4)}`,
    ],
    ['agent CPU, µs per exchange', agentUsPerExchange.toFixed(2)],
    ['ledger', `${ledger.closes ? 'closes' : 'DOES NOT CLOSE'}: ${ledgerLine(completeness)}`],
  ]);
}

function percent(part: number, digits = 0): string {
  return `${(part * 100).toFixed(digits)} %`;
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
