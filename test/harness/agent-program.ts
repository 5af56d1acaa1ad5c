/** The agent as a program that faults are done to: refused, wrapped, killed, and asked about its account. */
import { appendFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import type { Ledger } from '../../bpf/index.d.ts';
import { type AgentConfigOptions, writeAgentConfig } from './agent-config.ts';
import { freePort } from './free-port.ts';
import { type Program, startProgram } from './program.ts';
import { until } from './until.ts';

export interface AgentProgram extends Program {
  ledger(): Promise<Ledger>;
  /** The first account that fulfils `wanted`, or the last one before `timeoutMs`. */
  ledgerWhen(wanted: (exchanges: Ledger['exchanges']) => boolean, timeoutMs?: number): Promise<Ledger>;
  readiness(): Promise<{ status: number; reasons: string[] }>;
  metrics(): Promise<string>;
  /** Attempts to deliver a batch that came to nothing. */
  failedAttempts(): Promise<number>;
}

export interface AgentProgramOptions
  extends Pick<AgentConfigOptions, 'directory' | 'cgroup' | 'name' | 'processorPort'> {
  /** Keys of podmirror.yaml besides targets, processor and listen. */
  more?: Record<string, unknown>;
  /** A command that execs what follows it, such as setpriv. */
  wrapper?: readonly string[];
}

const NODE = process.execPath;

/** An agent with a configuration file as it is, ready or not; killed with the test. */
export function runAgent(
  t: ExecutionContext,
  config: string,
  { print = false, wrapper = [] }: { print?: boolean; wrapper?: readonly string[] } = {},
): Program {
  const [file, ...args] = [...wrapper, NODE, 'agent/main.ts', '--config', config];
  const program = startProgram([file ?? NODE, ...args, ...(print ? ['--print'] : [])]);
  t.teardown(async () => {
    program.signal('SIGKILL');
    await program.ended;
  });
  return program;
}

/** An agent that mirrors its target when this resolves; `--print` without a processor. */
export async function openAgent(
  t: ExecutionContext,
  { more = {}, wrapper = [], ...target }: AgentProgramOptions,
): Promise<AgentProgram> {
  const [healthPort, metricsPort] = [await freePort(), await freePort()];
  const config = writeAgentConfig({ ...target, healthPort, metricsPort });
  if (Object.keys(more).length > 0) appendFileSync(config, stringify(more));
  const program = runAgent(t, config, { print: target.processorPort === null, wrapper });
  const begun = until(() => !program.running() || / podmirror agent .* runs; /.test(program.stderr()), {
    timeoutMs: 15_000,
  });
  if (!(await begun) || !program.running()) throw new Error(`open agent: it said:\n${program.stderr()}`);

  const page = (name: string) => fetch(`http://127.0.0.1:${metricsPort}/${name}`);
  const ledger = async () => (await (await page('ledger')).json()) as Ledger;
  const metrics = async () => (await page('metrics')).text();
  return {
    ...program,
    ledger,
    async ledgerWhen(wanted, timeoutMs = 20_000) {
      await until(async () => wanted((await ledger()).exchanges), { timeoutMs, everyMs: 50 });
      return ledger();
    },
    async readiness() {
      const response = await fetch(`http://127.0.0.1:${healthPort}/ready`);
      const { reasons } = (await response.json()) as { reasons: string[] };
      return { status: response.status, reasons };
    },
    metrics,
    async failedAttempts() {
      return Number(/^podmirror_deliveries_total\{result="failed"\} (\d+)$/m.exec(await metrics())?.[1]);
    },
  };
}
