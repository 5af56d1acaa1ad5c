/** The difference between two accounts of the same requests, keyed by X-Id. */

/** What one side knows of one request; null is "not known here" and is not compared. */
export interface Fact {
  id: string;
  method: string;
  target: string;
  status: number;
  /** Length of the request's body, framing removed. */
  bodyLength: number | null;
  /** Length of the response's body where it was declared. */
  responseLength: number | null;
  /** Request headers, a line each, as sent. */
  headers: string | null;
  trailers: string | null;
  /** The request's body up to the capture's cap, as a digest. */
  bodyDigest: string | null;
}

export interface Differing {
  expected: Fact;
  actual: Fact;
  fields: (keyof Fact)[];
}

export interface Difference {
  /** Expected and absent. */
  missing: Fact[];
  /** Present and not expected, second copies too. */
  unexpected: Fact[];
  differing: Differing[];
}

const COMPARED = [
  'method',
  'target',
  'status',
  'bodyLength',
  'responseLength',
  'headers',
  'trailers',
  'bodyDigest',
] as const satisfies (keyof Fact)[];

export function compare(expected: readonly Fact[], actual: readonly Fact[]): Difference {
  const difference: Difference = { missing: [], unexpected: [], differing: [] };
  const waiting = Map.groupBy(actual, ({ id }) => id);
  for (const fact of expected) {
    const other = waiting.get(fact.id)?.shift();
    if (!other) {
      difference.missing.push(fact);
      continue;
    }
    const fields = COMPARED.filter((field) => differs(fact[field], other[field]));
    if (fields.length > 0) difference.differing.push({ expected: fact, actual: other, fields });
  }
  for (const left of waiting.values()) difference.unexpected.push(...left);
  return difference;
}

export function isEmpty({ missing, unexpected, differing }: Difference): boolean {
  return missing.length + unexpected.length + differing.length === 0;
}

/** Counts, and the first few of each sort. */
export function describeDifference(difference: Difference, first = 5): string {
  const { missing, unexpected, differing } = difference;
  if (isEmpty(difference)) return 'no difference';
  const lines = [`${missing.length} missing, ${unexpected.length} unexpected, ${differing.length} differing`];
  for (const fact of missing.slice(0, first)) lines.push(`- missing    ${describeFact(fact)}`);
  for (const fact of unexpected.slice(0, first)) lines.push(`+ unexpected ${describeFact(fact)}`);
  for (const { expected, actual, fields } of differing.slice(0, first)) {
    lines.push(`~ differing  ${describeFact(expected)}`);
    for (const field of fields) {
      lines.push(`    ${field}: expected ${short(expected[field])}, got ${short(actual[field])}`);
    }
  }
  return lines.join('\n');
}

function differs(expected: Fact[keyof Fact], actual: Fact[keyof Fact]): boolean {
  return expected !== null && actual !== null && expected !== actual;
}

function describeFact({ id, method, target, status, bodyLength }: Fact): string {
  return `${id || '(no id)'} ${method} ${short(target)} → ${status}, body ${bodyLength ?? 'unknown'}`;
}

function short(value: string | number | null): string {
  const text = JSON.stringify(value);
  return text.length > 300 ? `${text.slice(0, 300)}… (${text.length})` : text;
}
