/** wrk against nginx, and what its clients noticed. */
import { runTool } from './run-tool.ts';

export interface LoadOutcome {
  requests: number;
  /** Refused, reset, timed out, or answered with anything but 2xx and 3xx. */
  failures: number;
}

export async function runLoad(url: string, seconds: number): Promise<LoadOutcome> {
  const output = await runTool('wrk', ['-t1', '-c16', `-d${seconds}s`, url]);
  const requests = Number(/(\d+) requests in /.exec(output)?.[1] ?? 0);
  const socketErrors =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output) ?? [];
  const badStatuses = /Non-2xx or 3xx responses: (\d+)/.exec(output)?.[1] ?? 0;
  const failures = [...socketErrors.slice(1), badStatuses].reduce<number>(
    (sum, count) => sum + Number(count),
    0,
  );
  return { requests, failures };
}
