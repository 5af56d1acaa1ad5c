/** The results as a page that a person would paste into the README. */
import type { Completeness } from './completeness.ts';
import { type Machine, machineLine } from './machine.ts';
import { markdownTable } from './markdown.ts';
import type { ProgramCost, ProgramRuns } from './program-cost.ts';
import { formatQuartiles, medianInterval, spreadOf } from './statistics.ts';
import { ARMS, type Arm, type Triple, type Window } from './windows.ts';

/** One load with nothing, with a control and with the agent beside nginx. */
export interface Measured {
  triples: readonly Triple[];
  agent: { residentBytes: number; captured: number; delivered: number };
}

export interface Results {
  /** At a fixed rate. */
  fixed: Measured;
  /** As fast as it goes. */
  full: Measured;
  program: ProgramCost;
  completeness: Completeness;
  /** Output of the processor's own benchmark; null: there is none yet. */
  inspection: string | null;
  machine: Machine;
}

/** Of a round's time; more, and the host or other processes have had a part in what nginx used. */
const DISTURBED = 0.02;

export function renderReport(results: Results): string {
  const { fixed, full, program, completeness, inspection, machine } = results;
  return `# Bench

${machineLine(machine)}

nginx with one worker on core 0, the client and the agent on core 1, a 1 KiB file over keep-alive on loopback.
Load average at the end: ${machine.load.toFixed(1)}.

Triples of short windows, in random order within each, all with the same client and the same agent process: **off**, the agent
mirrors an empty cgroup; **control**, the same beside a process that only takes as much of core 1 as the agent does and touches
nothing; **on**, the agent mirrors nginx. A window has connections of its own, and begins and ends with nothing under way. A triple
does not count when the host or another process kept nginx from its core for more than ${percent(DISTURBED)} of a window.

## At a fixed rate

${measuredText(`${whole(completeness.wantedPerSecond)} requests per second`, fixed)}

${programLine(program, fixed.triples)}

## As fast as it goes

${measuredText('wrk', full)}

The agent takes its share of the client's core. So does the control, and that alone changes what a request costs nginx: the ratio to
off is what a user would see here, not what the program costs.

## Everything seen

${completenessTable(completeness)}
${inspection === null ? '' : `\nProcessor, inspection:\n\n\`\`\`\n${inspection.trim()}\n\`\`\`\n`}`;
}

function measuredText(title: string, measured: Measured): string {
  const { triples } = measured;
  return `${windowsTable(title, triples)}

${ratiosTable(triples)}

${whole(undisturbed(triples).length)} of ${whole(triples.length)} triples count. ${agentLine(measured)}`;
}

function undisturbed(triples: readonly Triple[]): Triple[] {
  return triples.filter((triple) => ARMS.every((arm) => triple[arm].disturbed <= DISTURBED));
}

function windowsTable(title: string, all: readonly Triple[]): string {
  const triples = undisturbed(all);
  const row = (name: string, value: (window: Window) => number, digits: number) => [
    name,
    ...ARMS.map((arm) =>
      formatQuartiles(
        triples.map((triple) => value(triple[arm])),
        digits,
      ),
    ),
  ];
  return markdownTable([
    [`${title}: median (quartiles)`, ...ARMS],
    row('nginx CPU, µs per request', ({ nginxUsPerRequest }) => nginxUsPerRequest, 2),
    row('times that nginx slept per request', ({ sleepsPerRequest }) => sleepsPerRequest, 3),
    row('requests per second', ({ perSecond }) => perSecond, 0),
    row('of core 1, the agent or the control, %', ({ part }) => part * 100, 1),
    row('the same, µs per request', ({ part, perSecond }) => (part * 1e6) / perSecond, 2),
  ]);
}

/** Each is the median over triples of the ratio of two windows of one triple. */
function ratiosTable(all: readonly Triple[]): string {
  const row = (over: Arm, under: Arm) => {
    const ratio = (triples: readonly Triple[]) =>
      triples.map((triple) => triple[over].nginxUsPerRequest / triple[under].nginxUsPerRequest);
    const counted = ratio(undisturbed(all));
    const [low, high] = medianInterval(counted);
    return [
      `${over} ÷ ${under}`,
      spreadOf(counted).median.toFixed(3),
      `${low.toFixed(3)}–${high.toFixed(3)}`,
      spreadOf(ratio(all)).median.toFixed(3),
    ];
  };
  return markdownTable([
    ['nginx CPU per request', 'median', '95 % interval (bootstrap)', 'of all triples'],
    row('on', 'off'),
    row('control', 'off'),
    row('on', 'control'),
  ]);
}

function programLine({ egress, ingress, requests }: ProgramCost, triples: readonly Triple[]): string {
  const nginxNs = spreadOf(undisturbed(triples).map(({ off }) => off.nginxUsPerRequest)).median * 1000;
  const perRequest = ({ runs, ns }: ProgramRuns) =>
    `${(runs / requests).toFixed(2)} times a request, ${whole(ns / runs)} ns each`;
  return (
    `By the kernel's own count (bpf_stats, some 70 ns of each run are the counting) the egress program, which runs in nginx's time, runs ${perRequest(egress)}: ` +
    `${percent(egress.ns / requests / nginxNs, 1)} of nginx's time with the agent off. The ingress program, here in the client's time, runs ${perRequest(ingress)}. ` +
    `${whole(egress.verifiedInstructions)} and ${whole(ingress.verifiedInstructions)} verified instructions.`
  );
}

function agentLine({ agent: { residentBytes, captured, delivered } }: Measured): string {
  return `The agent's resident memory at the end: ${whole(residentBytes / 2 ** 20)} MiB. Exchanges captured in all windows: ${whole(captured)}, delivered: ${whole(delivered)}.`;
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
