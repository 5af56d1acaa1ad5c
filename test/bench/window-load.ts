/** A client that lives through the whole measurement and loads nginx one short window at a time. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { killAtExit } from '../harness/last-resort.ts';
import type { PacedLoadOptions, Sent } from './paced-load.ts';

const PROCESS = fileURLToPath(new URL('./window-client.ts', import.meta.url));
// New connections, their place in the kernel, and nginx's caches.
const WARM_UP_SECONDS = 0.05;

export interface WindowLoad {
  /** `read` is called before and after the requests, while none is under way. */
  measure<T>(seconds: number, read: () => T): Promise<{ before: T; after: T; sent: Sent }>;
  close(): void;
}

/** It runs on the core of this process. */
export async function startWindowLoad(options: PacedLoadOptions): Promise<WindowLoad> {
  const child = fork(PROCESS, [JSON.stringify(options)]);
  const forget = killAtExit(child.pid);
  const next = async () => {
    const [message] = await once(child, 'message');
    return message;
  };
  await next();
  return {
    async measure(seconds, read) {
      child.send({ warmUp: WARM_UP_SECONDS, seconds });
      await next();
      const before = read();
      child.send('go');
      const sent = (await next()) as Sent;
      return { before, after: read(), sent };
    },
    close() {
      child.kill('SIGKILL');
      forget();
    },
  };
}
