/** A few numbers told by their median and spread. */
import { seededRandom } from '../harness/random.ts';

export interface Spread {
  median: number;
  low: number;
  high: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const [below = Number.NaN, above = Number.NaN] =
    sorted.length % 2 ? [sorted[half], sorted[half]] : sorted.slice(half - 1);
  return { median: (below + above) / 2, low: sorted[0] ?? Number.NaN, high: sorted.at(-1) ?? Number.NaN };
}

/** `1.02 (1.00–1.05)`: the median, the lowest and the highest. */
export function formatSpread({ median, low, high }: Spread, digits = 2): string {
  const text = (value: number) =>
    Number.isNaN(value)
      ? '–'
      : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${text(median)} (${text(low)}–${text(high)})`;
}

/** `1.02 (1.01–1.03)`: the median and the quartiles, for many values. */
export function formatQuartiles(values: readonly number[], digits = 2): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN;
  return formatSpread({ median: spreadOf(values).median, low: at(0.25), high: at(0.75) }, digits);
}

/** Where the median of such values lies with 95 % confidence: the percentile bootstrap. */
export function medianInterval(values: readonly number[], resamples = 10_000): [low: number, high: number] {
  const random = seededRandom(1);
  const medians = Array.from(
    { length: values.length === 0 ? 0 : resamples },
    () => spreadOf(values.map(() => random.pick(values))).median,
  ).sort((a, b) => a - b);
  const at = (part: number) => medians[Math.floor(part * (medians.length - 1))] ?? Number.NaN;
  return [at(0.025), at(0.975)];
}
