/** A server's own account, the same whichever server wrote it: a JSON object a line. */
import { existsSync, readFileSync } from 'node:fs';
import { until } from '../harness/until.ts';
import { suiteName } from './suites.ts';

export interface AccessLine {
  id: string;
  method: string;
  target: string;
  status: number;
  /** As declared by the client; 0 when there was none. */
  bodyLength: number;
  /** "TLSv1.2"; empty for plaintext. */
  version: string;
  /** As IANA names it. */
  suite: string;
  resumed: boolean;
}

/** Keys as the servers' configurations write them; all but `status` may be strings. */
interface RawLine {
  id: string;
  method: string;
  target: string;
  status: number;
  body: string;
  version?: string;
  suite?: string;
  reused?: string;
}

/** What a server writes where there is nothing to say. */
const NOTHING = new Set(['', '-']);
const RESUMED = new Set(['r', '1', 'Resumed']);

export function parseAccessLine(line: string): AccessLine {
  const {
    id,
    method,
    target,
    status,
    body,
    version = '',
    suite = '',
    reused = '',
  } = JSON.parse(line) as RawLine;
  return {
    id,
    method,
    target,
    status,
    bodyLength: NOTHING.has(body) ? 0 : Number(body),
    version: NOTHING.has(version) ? '' : version,
    suite: NOTHING.has(suite) ? '' : suiteName(suite),
    resumed: RESUMED.has(reused),
  };
}

/** Complete lines that begin at `offset` bytes; waits until there are `atLeast` of them, for a line is written after its response. */
export async function readAccessLog(
  file: string,
  { offset = 0, atLeast = 0 }: { offset?: number; atLeast?: number } = {},
): Promise<AccessLine[]> {
  const lines = () => {
    if (!existsSync(file)) return [];
    const text = readFileSync(file).subarray(offset).toString('latin1');
    return text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line.startsWith('{'));
  };
  await until(() => lines().length >= atLeast, { everyMs: 200, timeoutMs: 10_000 });
  return lines().map(parseAccessLine);
}
