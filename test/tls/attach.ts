/** Selects a TLS server and waits until its connections are seen. */
import type { ExecutionContext } from 'ava';
import type { CaptureOptions } from '../../bpf/index.d.ts';
import { type OpenCapture, openCapture } from '../harness/capture.ts';
import { headerValue } from '../harness/facts.ts';
import { until } from '../harness/until.ts';
import { type Account, createAccount } from './account.ts';
import { runLoad } from './load.ts';
import type { TlsServer } from './server.ts';
import { told } from './told.ts';

export interface Attached extends Pick<OpenCapture, 'capture'> {
  account: Account;
  /** Connections that were made before the first one that was seen: they stay dark. */
  unseen(): number;
  /** Resolves when nothing has come for a while. */
  quiet(): Promise<void>;
}

// Room enough: these tests are about what is right, and about loss only where they say so.
const ROOM: CaptureOptions = { ringBytes: 64 << 20, maxQueueBytes: 256 << 20 };
const NAME = 'tls';

export interface Attaching {
  /** Another one than the server's first. */
  port?: number;
  /** Of the connections that are made until one is seen; 'none' for plaintext. */
  version?: '1.2' | '1.3' | 'none';
  limits?: CaptureOptions;
}

export async function attach(
  t: ExecutionContext,
  server: TlsServer,
  { port = server.port, version = '1.3', limits = ROOM }: Attaching = {},
): Promise<Attached> {
  const account = createAccount();
  let [last, warm] = [0, 0];
  const { capture } = openCapture(t, limits, (exchange) => {
    last = performance.now();
    if (headerValue(exchange.request.headers, 'x-id')?.startsWith('warm-')) warm += 1;
    else account.take(exchange);
  });
  capture.select({ cgroup: server.cgroup.path, identity: { name: NAME } });
  const made = await untilSeen(port, () => warm > 0, version).catch((cause) => {
    throw new Error(`attach: ${cause.message}: ${told(capture)}`, { cause });
  });
  return {
    capture,
    account,
    unseen: () => made - warm,
    async quiet() {
      const begin = performance.now();
      await until(() => performance.now() - Math.max(begin, last) > 700, { timeoutMs: 60_000, everyMs: 50 });
    },
  };
}

/** Makes connections until one is seen: a probe that is asked for is there a moment later. Resolves to their number. */
export async function untilSeen(
  port: number,
  seen: () => boolean | Promise<boolean>,
  version: Attaching['version'] = '1.3',
): Promise<number> {
  let made = 0;
  const came = await until(
    async () => {
      made += 1;
      await runLoad({ port, prefix: 'warm', requests: 1, connections: 1, version });
      return until(seen, { timeoutMs: 200 });
    },
    { timeoutMs: 15_000, everyMs: 50 },
  );
  if (!came) throw new Error('no connection is seen');
  return made;
}
