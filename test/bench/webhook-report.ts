/** The results of the webhook's bench as a page. */
import { type Histogram, meanMs, together } from './histogram.ts';
import { type Machine, machineLine } from './machine.ts';
import { markdownTable } from './markdown.ts';
import { formatSpread, spreadOf } from './statistics.ts';
import type { CreationRound, Creations } from './webhook-creations.ts';

export interface LabelChange {
  word: string;
  ms: number;
  writes: number;
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
  type Side = keyof CreationRound;
  const each = <T>(side: Side, what: (creations: Creations) => readonly T[]): T[] =>
    rounds.flatMap((round) => what(round[side]));
  const requests = (side: Side) => together(each(side, ({ requests }) => [requests]));
  const replica = (at: number) => together(rounds.flatMap(({ on }) => on.replicas[at] ?? []));
  const used = (side: Side, name: string) =>
    spreadOf(each(side, ({ processors }) => [processors.get(name) ?? 0])).median.toFixed(0);
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

## ${rate} pods created per second

${rounds.length} pairs of rounds in random order, ${whole(each('on', ({ times }) => times).length)} creations with the webhook and as many in a namespace that it is not asked about.

${markdownTable([
  ['what a creation takes, ms', 'webhook called', 'not called', 'on ÷ off'],
  ['as the API server counts it, mean', ...compared(meanMs(requests('on')), meanMs(requests('off')))],
  ...[0.5, 0.9, 0.99].map((part) => [
    `as the client on the same cores sees it, ${part === 0.5 ? 'median' : `p${part * 100}`}`,
    ...compared(
      quantile(
        each('on', ({ times }) => times),
        part,
      ),
      quantile(
        each('off', ({ times }) => times),
        part,
      ),
    ),
  ]),
])}

On ÷ off of each pair: ${formatSpread(
    spreadOf(rounds.map(({ on, off }) => meanMs(on.requests) / meanMs(off.requests))),
  )} of the API server's means, ${formatSpread(
    spreadOf(rounds.map(({ on, off }) => quantile(on.times, 0.5) / quantile(off.times, 0.5))),
  )} of the client's medians.

${markdownTable([
  ['what one review takes', ...BOUNDS.map((ms) => `within ${ms} ms`), 'mean, ms'],
  ['the leader, from the head of a review to the end of its answer', ...parts(replica(0))],
  ['the other replica', ...parts(replica(1))],
  ['both', ...parts(together([replica(0), replica(1)]))],
  ['the wait for it, as the API server counts it', ...parts(together(rounds.map(({ on }) => on.waits)))],
])}

Within 5 ms in each round: ${formatSpread(
    spreadOf(rounds.map(({ on }) => within(together(on.replicas), 5) * 100)),
  )} % of the reviews, by the webhook's own count. \`apiserver_admission_webhook_admission_duration_seconds\` has no bounds between 5 and 25 ms, and counts
handshakes and queues of the API server too.

${markdownTable([
  ['% of one of the two processors', 'webhook called', 'not called'],
  ...[...new Set(rounds.flatMap(({ on, off }) => [...on.processors.keys(), ...off.processors.keys()]))]
    .map((name) => [name, used('on', name), used('off', name)])
    .filter(([, ...percents]) => percents.some((percent) => percent !== '0')),
])}
`;
}

const BOUNDS = [1, 2.5, 5, 10, 25];

const within = (histogram: Histogram, ms: number): number =>
  (histogram.upTo.get(ms / 1000) ?? Number.NaN) / histogram.count;

/** The API server has other bounds. */
function parts(histogram: Histogram): string[] {
  const percents = BOUNDS.map((ms) => within(histogram, ms) * 100);
  return [
    ...percents.map((percent) => (Number.isNaN(percent) ? '–' : `${percent.toFixed(2)} %`)),
    meanMs(histogram).toFixed(2),
  ];
}

const compared = (on: number, off: number) => [on.toFixed(2), off.toFixed(2), (on / off).toFixed(2)];

export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

const whole = (value: number) => value.toLocaleString('en', { maximumFractionDigits: 0 });
const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
