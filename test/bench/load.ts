/** nginx loaded at a rate by a process of its own, and what wrk says. */
import { fileURLToPath } from 'node:url';
import { runTool } from '../harness/run-tool.ts';

export interface LoadRun {
  requests: number;
  perSecond: number;
}

export type Load = (seconds: number) => Promise<LoadRun>;

const PACED_CLIENT = fileURLToPath(new URL('./paced-client.ts', import.meta.url));

/**
 * The same requests at the same times with and without the agent, so that nginx finds equally much at each wake-up. For
 * that the client has priority over the agent, with which it shares a core here.
 */
export function fixedRate({ port, rate, core }: { port: number; rate: number; core: number }): Load {
  return async (seconds) => {
    const args = [
      '-c',
      String(core),
      'nice',
      '-n',
      '-20',
      process.execPath,
      PACED_CLIENT,
      String(port),
      String(rate),
      String(seconds),
    ];
    const { sent, elapsedMs } = JSON.parse(await runTool('taskset', args)) as {
      sent: number;
      elapsedMs: number;
    };
    return { requests: sent, perSecond: (sent / elapsedMs) * 1000 };
  };
}

/** Throws when wrk met errors: they would make every figure per request wrong. */
export function parseWrk(output: string): LoadRun {
  const errors = /Socket errors: .*|Non-2xx.*/.exec(output)?.[0];
  if (errors) throw new Error(`wrk: ${errors.trim()}`);
  const requests = /(\d+) requests in/.exec(output)?.[1];
  const perSecond = /Requests\/sec:\s+([\d.]+)/.exec(output)?.[1];
  if (requests === undefined || perSecond === undefined) throw new Error(`wrk: no figures in: ${output}`);
  return { requests: Number(requests), perSecond: Number(perSecond) };
}
