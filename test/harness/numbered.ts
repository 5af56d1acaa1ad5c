/** Requests that can be told apart: each has an X-Id of its own. */
import { setTimeout as sleep } from 'node:timers/promises';
import { openConnection } from './raw-connection.ts';

export interface NumberedOptions {
  requests: number;
  /** Of request `n`. */
  target?: (n: number) => string;
  connections?: number;
  /** Between two requests of a connection. */
  pauseMs?: number;
  prefix?: string;
}

/** Sends GETs over keep-alive connections; returns their ids, all of them answered. */
export async function sendNumbered(
  port: number,
  { requests, target = () => '/text', connections = 4, pauseMs = 0, prefix = 'n' }: NumberedOptions,
): Promise<string[]> {
  const ids: string[] = [];
  const waiting = Array.from({ length: requests }, (_, n) => n).values();
  const lane = async () => {
    const connection = await openConnection(port);
    for (const n of waiting) {
      const id = `${prefix}-${n}`;
      await connection.get(target(n), id);
      ids.push(id);
      if (pauseMs > 0) await sleep(pauseMs);
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: connections }, lane));
  return ids;
}
