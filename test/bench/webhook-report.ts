/** The results of the webhook's bench as a page. */
import { type Machine, machineLine } from './machine.ts';
import { markdownTable } from './markdown.ts';
import { formatSpread, spreadOf } from './statistics.ts';

export interface LabelChange {
  word: string;
  ms: number;
  writes: number;
}

export interface CreationRound {
  /** Milliseconds of each creation, with the webhook called and not called. */
  on: readonly number[];
  off: readonly number[];
  /** The webhook's own histogram of the round: seconds, and how many reviews took no longer. */
  admission: ReadonlyMap<number, number>;
}

export interface WebhookResults {
  pods: number;
  size: { classes: number; bytes: number; shards: number };
  /** Bytes of each replica, with all pods known, and at the end. */
  resident: readonly number[];
  residentAfter: readonly number[];
  changes: readonly LabelChange[];
  rounds: readonly CreationRound[];
  /** Creations per second. */
  rate: number;
  machine: Machine;
}

export function renderWebhookReport(results: WebhookResults): string {
  const { pods, size, changes, rounds, rate } = results;
  const ms = spreadOf(changes.map(({ ms }) => ms));
  const writes = spreadOf(changes.map(({ writes }) => writes));
  const [on, off] = [rounds.flatMap((round) => round.on), rounds.flatMap((round) => round.off)];
  return `# Bench of the webhook

${machineLine(results.machine)}

A real API server, etcd, cert-manager and two replicas of the webhook on this machine; ${whole(pods)} pods, 1,000 of them in one namespace.
Spreads are the median (lowest–highest).

${markdownTable([
  ['what stands in the cluster', ''],
  ['classes in the intent ConfigMap', whole(size.classes)],
  [
    'its size',
    `${(size.bytes / 1024).toFixed(1)} KiB in ${size.shards} ConfigMap${size.shards === 1 ? '' : 's'}`,
  ],
  ['resident memory of a replica, MiB', results.resident.map(mebibytes).join(', ')],
  ['the same behind the creations below', results.residentAfter.map(mebibytes).join(', ')],
])}

${markdownTable([
  [`the label of the 1,000-pod namespace changed ${changes.length} times`, ''],
  ['until the ConfigMap is right, ms', formatSpread(ms, 0)],
  ['writes of the ConfigMap', formatSpread(writes, 0)],
])}

${markdownTable([
  [`${rate} creations per second`, 'webhook called', 'not called', 'on ÷ off'],
  row('median, ms', on, off, 0.5),
  row('p90, ms', on, off, 0.9),
  row('p99, ms', on, off, 0.99),
])}

In ${rounds.length} pairs of rounds in random order, ${whole(on.length)} creations with it; on ÷ off of the medians of each pair: ${formatSpread(
    spreadOf(rounds.map((round) => quantile(round.on, 0.5) / quantile(round.off, 0.5))),
  )}.

${admissionLine(rounds)}
`;
}

function row(name: string, on: readonly number[], off: readonly number[], part: number): string[] {
  const [a, b] = [quantile(on, part), quantile(off, part)];
  return [name, a.toFixed(2), b.toFixed(2), (a / b).toFixed(2)];
}

export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

function admissionLine(rounds: readonly CreationRound[]): string {
  const upTo = (seconds: number) =>
    rounds.reduce((sum, { admission }) => sum + (admission.get(seconds) ?? 0), 0);
  const total = upTo(Number.POSITIVE_INFINITY);
  const parts = [0.001, 0.0025, 0.005, 0.01, 0.025].map(
    (seconds) => `${((upTo(seconds) / total) * 100).toFixed(2)} % within ${seconds * 1000} ms`,
  );
  return `The webhook itself, from the head of a review to its answer (${whole(total)} reviews): ${parts.join(', ')}.`;
}

const whole = (value: number) => value.toLocaleString('en', { maximumFractionDigits: 0 });
const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
