/** At a rate the machine holds, every logged request must arrive as an exchange. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from '../../bpf/index.d.ts';
import type { Agent } from '../harness/agent.ts';
import type { Nginx } from '../harness/nginx.ts';
import { cpuTimeUs } from '../harness/processes.ts';
import { fixedRate } from './load.ts';
import type { Sink } from './sink.ts';

export interface Completeness {
  wantedPerSecond: number;
  /** What the client really sent. */
  perSecond: number;
  lines: number;
  /** Decoded by the sink. */
  exchanges: number;
  agentUsPerExchange: number;
  ledger: Ledger;
}

export interface CompletenessOptions {
  nginx: Nginx;
  agent: Agent;
  sink: Sink;
  rate: number;
  seconds: number;
  core: number;
}

// nginx flushes its log buffer after a second.
const LOG_FLUSH_MS = 1500;

export async function measureCompleteness(options: CompletenessOptions): Promise<Completeness> {
  const { nginx, agent, sink, rate, seconds, core } = options;
  await agent.settled();
  await sleep(LOG_FLUSH_MS);
  const linesBefore = nginx.markCount();
  const agentBefore = cpuTimeUs(agent.pid);
  sink.takeCount();
  sink.keep(true);
  const { perSecond } = await fixedRate({ port: nginx.port, rate, core })(seconds);
  await sleep(LOG_FLUSH_MS);
  const ledger = await agent.settled();
  sink.keep(false);
  const agentUs = cpuTimeUs(agent.pid) - agentBefore;
  const exchanges = sink.takeCount();
  return {
    wantedPerSecond: rate,
    perSecond,
    lines: nginx.markCount() - linesBefore,
    exchanges,
    agentUsPerExchange: agentUs / exchanges,
    ledger,
  };
}
