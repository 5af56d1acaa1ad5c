/** `make bench`: what the agent costs nginx, what it costs itself, and whether it sees everything. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Agent } from '../harness/agent.ts';
import { type Leave, leavingNothing } from '../harness/leave.ts';
import { type Nginx, startNginx } from '../harness/nginx.ts';
import { residentBytes } from '../harness/processes.ts';
import { runTool } from '../harness/run-tool.ts';
import { makeSurroundings, NGINX_CORE, OTHER_CORE, type Surroundings, startMeasuredAgent } from './agent.ts';
import { startBurner } from './burner.ts';
import { type Completeness, measureCompleteness } from './completeness.ts';
import { fixedRate } from './load.ts';
import { machine } from './machine.ts';
import { measureProgram } from './program-cost.ts';
import { type Measured, renderReport } from './report.ts';
import { createSwitch } from './switch.ts';
import { startWindowLoad, type WindowLoad } from './window-load.ts';
import { measureWindows } from './windows.ts';
import { wrkWindows } from './wrk-windows.ts';

const usage = `usage: node test/bench/bench.ts [--windows 160] [--window-seconds 0.3] [--full-windows 60] [--full-seconds 1] [--connections 50] [--rate 20000] [--fixed-seconds 10]

Needs root and two cores: nginx runs on core 0, everything else on core 1. Writes test/bench/results.md.
`;
const RESULTS = fileURLToPath(new URL('./results.md', import.meta.url));
const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const INSPECTION = join(REPOSITORY, 'processor/inspect.bench.ts');

const { values } = parseArgs({
  options: {
    windows: { type: 'string', default: '160' },
    'window-seconds': { type: 'string', default: '0.3' },
    'full-windows': { type: 'string', default: '60' },
    'full-seconds': { type: 'string', default: '1' },
    connections: { type: 'string', default: '50' },
    rate: { type: 'string', default: '20000' },
    'fixed-seconds': { type: 'string', default: '10' },
    help: { type: 'boolean', short: 'h' },
  },
});

interface Bench extends Surroundings {
  nginx: Nginx;
}

if (values.help) process.stdout.write(usage);
else process.exitCode = await leavingNothing(main);

async function main(leave: Leave): Promise<number> {
  const surroundings = await makeSurroundings(leave, 'bench');
  const { cgroup } = surroundings;
  const nginx = await startNginx({ cgroup, workers: 1, log: 'marks', core: NGINX_CORE });
  leave.defer(() => nginx.stop());

  const bench = { ...surroundings, nginx };
  const { port } = nginx;
  const [rate, connections] = [Number(values.rate), Number(values.connections)];
  const paced = fixedRate({ port, rate, core: OTHER_CORE });
  const fixed = await measureLoad(bench, 'at a fixed rate', await startWindowLoad({ port, rate }), {
    count: Number(values.windows),
    seconds: Number(values['window-seconds']),
  });
  const url = `http://127.0.0.1:${port}/1k.txt`;
  const full = await measureLoad(bench, 'full load', wrkWindows({ url, connections, core: OTHER_CORE }), {
    count: Number(values['full-windows']),
    seconds: Number(values['full-seconds']),
  });
  const program = await withAgent(bench, (agent) => measureProgram(agent, paced, 5));
  const completeness = await measureAll(bench);
  const inspection = await inspect();
  const report = renderReport({
    fixed,
    full,
    program,
    completeness,
    inspection,
    machine: machine('test/bench/bench.ts'),
  });
  writeFileSync(RESULTS, report);
  process.stdout.write(`\n${report}\nwritten to ${RESULTS}\n`);
  return 0;
}

/** Ends the load. */
async function measureLoad(
  bench: Bench,
  name: string,
  load: WindowLoad,
  windows: { count: number; seconds: number },
): Promise<Measured> {
  process.stdout.write(`${name}\n`);
  const toggle = createSwitch(bench.cgroup);
  const burner = startBurner();
  const agent = await startMeasuredAgent(bench, { pid: toggle.pid });
  try {
    const triples = await measureWindows({
      ...windows,
      load,
      subject: { pid: agent.pid, turn: (on) => toggle.turn(on, agent) },
      burner,
      nginxPid: workerOf(bench.nginx),
      nginxCore: NGINX_CORE,
    });
    const { captured, delivered } = (await agent.settled()).exchanges;
    return { triples, agent: { residentBytes: residentBytes(agent.pid), captured, delivered } };
  } finally {
    await agent.stop();
    load.close();
    burner.close();
    await toggle.close();
  }
}

function workerOf({ pid, workerPids }: Nginx): number {
  return workerPids()[0] ?? pid;
}

async function measureAll(bench: Bench): Promise<Completeness> {
  const { nginx, sink } = bench;
  const [rate, seconds] = [Number(values.rate), Number(values['fixed-seconds'])];
  process.stdout.write(`completeness: ${rate} per second for ${seconds} s\n`);
  return withAgent(bench, (agent) =>
    measureCompleteness({ nginx, agent, sink, rate, seconds, core: OTHER_CORE }),
  );
}

async function withAgent<T>(bench: Bench, work: (agent: Agent) => Promise<T>): Promise<T> {
  const agent = await startMeasuredAgent(bench);
  try {
    return await work(agent);
  } finally {
    await agent.stop();
  }
}

async function inspect(): Promise<string | null> {
  if (!existsSync(INSPECTION)) return null;
  return runTool(process.execPath, [INSPECTION]);
}
