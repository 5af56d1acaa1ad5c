/** An agent process that mirrors one cgroup, and its account. */
import type { Coverage, Ledger } from '../../bpf/index.d.ts';
import { writeAgentConfig } from './agent-config.ts';
import { freePort } from './free-port.ts';
import { type Service, startService } from './service.ts';
import { until } from './until.ts';

export interface Agent extends Service {
  ledger(): Promise<Ledger>;
  coverage(): Promise<Coverage>;
  /** The ledger once nothing is in flight, or as it is after `timeoutMs`. */
  settled(timeoutMs?: number): Promise<Ledger>;
}

export interface AgentOptions {
  /** Holds ca.crt, agent.crt and agent.key; the configuration goes there too. */
  directory: string;
  cgroup: string;
  /** Mirror the cgroup that this process is in, whichever it is at the time. */
  pid?: number;
  name: string;
  /** null: `--print` to its output instead. */
  processorPort: number | null;
  tlsMode?: string;
  core?: number;
}

export async function startAgent({ core, ...target }: AgentOptions): Promise<Agent> {
  const [healthPort, metricsPort] = [await freePort(), await freePort()];
  const config = writeAgentConfig({ ...target, healthPort, metricsPort });
  const service = await startService({
    name: 'agent',
    args: [
      'agent/podmirror-agent',
      '--config',
      config,
      ...(target.processorPort === null ? ['--print'] : []),
    ],
    ready: async () => (await fetch(`http://127.0.0.1:${healthPort}/ready`)).ok,
    ...(core !== undefined && { core }),
  });
  const ask = async (page: string) => (await fetch(`http://127.0.0.1:${metricsPort}/${page}`)).json();
  const ledger = async () => (await ask('ledger')) as Ledger;
  const coverage = async () => (await ask('coverage')) as Coverage;
  const settled = async (timeoutMs = 10_000) => {
    // Twice the same account with nothing under way: the ring has been drained in between.
    let last = '';
    await until(
      async () => {
        const { exchanges, bytes } = await ledger();
        const same = JSON.stringify({ exchanges, bytes }) === last;
        last = JSON.stringify({ exchanges, bytes });
        return same && exchanges.inFlight === 0;
      },
      { timeoutMs, everyMs: 200 },
    );
    return ledger();
  };
  return { ...service, ledger, coverage, settled };
}
