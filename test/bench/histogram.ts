/** Histograms in the text that Prometheus scrapes. */

export interface Histogram {
  count: number;
  /** Of all that was observed, seconds. */
  sumSeconds: number;
  /** How many took no longer than so many seconds. */
  upTo: ReadonlyMap<number, number>;
}

/** All series of that name whose labels hold each of `labels` (`verb="POST"`), in one. */
export function histogramOf(text: string, name: string, labels: readonly string[] = []): Histogram {
  const sample = /^(\w+)(?:\{(.*)\})? (\S+)$/;
  let [count, sumSeconds] = [0, 0];
  const upTo = new Map<number, number>();
  for (const line of text.split('\n')) {
    if (!line.startsWith(name)) continue;
    const [, series, pairs = '', value] = sample.exec(line) ?? [];
    if (!labels.every((label) => `,${pairs},`.includes(`,${label},`))) continue;
    if (series === `${name}_count`) count += Number(value);
    if (series === `${name}_sum`) sumSeconds += Number(value);
    const le = /(?:^|,)le="([^"]+)"/.exec(pairs)?.[1];
    if (series !== `${name}_bucket` || le === undefined || le === '+Inf') continue;
    upTo.set(Number(le), (upTo.get(Number(le)) ?? 0) + Number(value));
  }
  return { count, sumSeconds, upTo };
}

/** What came between the two. */
export const since = (before: Histogram, after: Histogram): Histogram => combined(after, before, -1);

export function together(histograms: readonly Histogram[]): Histogram {
  const none: Histogram = { count: 0, sumSeconds: 0, upTo: new Map() };
  return histograms.reduce((all, one) => combined(all, one, 1), none);
}

export const meanMs = ({ count, sumSeconds }: Histogram): number => (sumSeconds / count) * 1000;

function combined(a: Histogram, b: Histogram, sign: 1 | -1): Histogram {
  const bounds = [...new Set([...a.upTo.keys(), ...b.upTo.keys()])];
  return {
    count: a.count + sign * b.count,
    sumSeconds: a.sumSeconds + sign * b.sumSeconds,
    upTo: new Map(bounds.map((at) => [at, (a.upTo.get(at) ?? 0) + sign * (b.upTo.get(at) ?? 0)])),
  };
}
