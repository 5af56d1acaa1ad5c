/** Attacks on one address, one after the other, each on a path of its own and over a connection of its own. */
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { attackUrl } from './workload.ts';

export interface SteadyRequests {
  /** Path → when it was sent, of `performance.now()`. */
  sent: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

const everyMs = 10;

export function sendSteadily(host: string, prefix: string): SteadyRequests {
  const sent = new Map<string, number>();
  let isOver = false;
  const run = async () => {
    for (let count = 0; !isOver; count++) {
      const path = `${prefix}-${count}`;
      sent.set(path, performance.now());
      await answered(attackUrl(host, path));
      await sleep(everyMs);
    }
  };
  const ended = run();
  return {
    sent,
    async stop() {
      isOver = true;
      await ended;
    },
  };
}

function answered(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false }, (response) => response.resume().once('end', resolve))
      .once('error', reject)
      .end();
  });
}
