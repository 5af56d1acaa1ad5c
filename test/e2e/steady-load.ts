/** A client that asks at a steady rate whatever happens to podmirror, and remembers every request. */
import { Agent, request } from 'node:http';

export interface SentRequest {
  path: string;
  isAttack: boolean;
  /** Wall clock, ms since the epoch; of the answer: undefined while it is awaited. */
  sentAtMs: number;
  answeredAtMs?: number;
  /** What went wrong, if something did. */
  failure?: string;
}

export interface SteadyLoad {
  sent: readonly SentRequest[];
  /** Ends it and waits for the last answers. */
  stop(): Promise<void>;
}

export interface SteadyLoadOptions {
  /** `host[:port]`. */
  host: string;
  /** The paths of attacks begin with it: letters and dashes. */
  name: string;
  ratePerSecond?: number;
  /** Every how many requests one is an attack, the first among them. */
  attackEvery?: number;
  /** Of a header that makes each of them larger. */
  paddingBytes?: number;
}

/** The paths of those that are no attacks begin with it. */
export const PLAIN = '/plain';

const TICK_MS = 10;
const TIMEOUT_MS = 5000;
const CONNECTIONS = 8;

/** Over keep-alive connections that stay open, from this machine: no part of the cluster is needed but the workload. */
export function startLoad({
  host,
  name,
  ratePerSecond = 200,
  attackEvery = 100,
  paddingBytes = 0,
}: SteadyLoadOptions): SteadyLoad {
  const connections = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const headers = paddingBytes > 0 ? { 'x-padding': 'p'.repeat(paddingBytes) } : {};
  const sent: SentRequest[] = [];
  const open = new Set<Promise<void>>();
  const startedAt = performance.now();
  const ask = () => {
    const isAttack = sent.length % attackEvery === 0;
    const path = `${isAttack ? '' : PLAIN}/${name}-${sent.length}`;
    const entry: SentRequest = { path, isAttack, sentAtMs: Date.now() };
    sent.push(entry);
    const url = `http://${host}${entry.path}${isAttack ? '?file=../../../etc/passwd' : ''}`;
    const answered = answerOf(url, { agent: connections, headers })
      .catch((error: Error) => {
        entry.failure = error.message;
      })
      .finally(() => {
        entry.answeredAtMs = Date.now();
        open.delete(answered);
      });
    open.add(answered);
  };
  const timer = setInterval(() => {
    const due = ((performance.now() - startedAt) / 1000) * ratePerSecond;
    while (sent.length < due) ask();
  }, TICK_MS);
  return {
    sent,
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      connections.destroy();
    },
  };
}

function answerOf(url: string, { agent, headers }: { agent: Agent; headers: Record<string, string> }) {
  return new Promise<void>((resolve, reject) => {
    const sending = request(url, { agent, headers, timeout: TIMEOUT_MS }, (response) => {
      const { statusCode } = response;
      response.resume();
      response.once('error', reject).once('end', () => {
        if (statusCode === 200) resolve();
        else reject(new Error(`status ${statusCode}`));
      });
    });
    sending.once('timeout', () => sending.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)));
    sending.once('error', reject).end();
  });
}
