/** The results of the bench in a cluster as a page. */
import { type Machine, machineLine } from './machine.ts';
import { markdownTable } from './markdown.ts';
import { formatSpread, spreadOf } from './statistics.ts';

export interface ClusterRound {
  /** Of one core. */
  cpuPercent: number;
  /** At its end. */
  residentBytes: number;
  /** Answers to the client, over the whole round. */
  perSecond: number;
  sent: number;
  captured: number;
  delivered: number;
  closes: boolean;
}

export interface ClusterResults {
  pods: number;
  /** Requests per second. */
  rate: number;
  idle: readonly ClusterRound[];
  busy: readonly ClusterRound[];
  machine: Machine;
}

export function renderClusterReport({ pods, rate, idle, busy, machine }: ClusterResults): string {
  const both = (pick: (round: ClusterRound) => number, digits: number) =>
    [idle, busy].map((rounds) => formatSpread(spreadOf(rounds.map(pick)), digits));
  const total = (pick: (round: ClusterRound) => number) => busy.reduce((sum, round) => sum + pick(round), 0);
  const whole = (value: number) => value.toLocaleString('en', { maximumFractionDigits: 0 });
  const closes = [...idle, ...busy].every((round) => round.closes);
  return `# Bench of the agent in a cluster

${machineLine(machine)}

podmirror as the chart installs it, in a real Kubernetes of one node; all of the cluster shares the cores of this machine.
${pods} pods of a container that does nothing and one nginx are mirrored. The client runs beside the node; the processor takes
the exchanges and passes them by (\`input_filters.bypass\`). Spreads are the median (lowest–highest) of ${idle.length} rounds, idle and busy in turns.

${markdownTable([
  ['agent', 'idle', `${whole(rate)} requests/s asked for`],
  ['CPU, % of one core', ...both(({ cpuPercent }) => cpuPercent, 1)],
  ['resident memory, MiB', ...both(({ residentBytes }) => residentBytes / 2 ** 20, 0)],
  ['answers per second', ...both(({ perSecond }) => perSecond, 0)],
])}

Sent ${whole(total(({ sent }) => sent))}, captured ${whole(total(({ captured }) => captured))}, delivered ${whole(total(({ delivered }) => delivered))}; the ledger ${closes ? 'closes' : 'DOES NOT CLOSE'}.
`;
}
