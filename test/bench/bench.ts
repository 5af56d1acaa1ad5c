/** `make bench`: what the agent costs nginx, what it costs itself, and whether it sees everything. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Agent, startAgent } from '../harness/agent.ts';
import { type Cgroup, createCgroup, whyNoCgroups } from '../harness/cgroup.ts';
import { type Leave, leavingNothing } from '../harness/leave.ts';
import { type Nginx, startNginx } from '../harness/nginx.ts';
import { residentBytes } from '../harness/processes.ts';
import { seededRandom } from '../harness/random.ts';
import { runTool } from '../harness/run-tool.ts';
import { startBurner } from './burner.ts';
import { type Completeness, measureCompleteness } from './completeness.ts';
import { fixedRate, fullLoad, type Load } from './load.ts';
import { machine } from './machine.ts';
import { measureProgram } from './program-cost.ts';
import { isDisturbed, type Pair, renderReport } from './report.ts';
import { measureRound, type Round, rest } from './round.ts';
import { type Sink, startSink } from './sink.ts';
import { createSwitch } from './switch.ts';
import { startWindowLoad } from './window-load.ts';
import { measureWindows, type Triple } from './windows.ts';

const usage = `usage: node test/bench/bench.ts [--windows 160] [--window-seconds 0.3] [--pairs 6] [--seconds 2] [--connections 50] [--rate 20000] [--fixed-seconds 10]

Needs root and two cores: nginx runs on core 0, everything else on core 1. Writes test/bench/results.md.
`;
const NGINX_CORE = 0;
const OTHER_CORE = 1;
const RESULTS = fileURLToPath(new URL('./results.md', import.meta.url));
const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const INSPECTION = join(REPOSITORY, 'processor/inspect.bench.ts');

const { values } = parseArgs({
  options: {
    windows: { type: 'string', default: '160' },
    'window-seconds': { type: 'string', default: '0.3' },
    pairs: { type: 'string', default: '6' },
    seconds: { type: 'string', default: '2' },
    connections: { type: 'string', default: '50' },
    rate: { type: 'string', default: '20000' },
    'fixed-seconds': { type: 'string', default: '10' },
    help: { type: 'boolean', short: 'h' },
  },
});

interface Bench {
  directory: string;
  nginx: Nginx;
  cgroup: Cgroup;
  sink: Sink;
}

if (values.help) process.stdout.write(usage);
else process.exitCode = await leavingNothing(main);

async function main(leave: Leave): Promise<number> {
  const why = whyNoCgroups() ?? (cpus().length < 2 ? 'needs two cores' : null);
  if (why) throw new Error(`bench: ${why}`);
  execFileSync('taskset', ['-acp', String(OTHER_CORE), String(process.pid)], { stdio: 'ignore' });

  const directory = mkdtempSync(join(tmpdir(), 'podmirror-bench-'));
  leave.defer(() => rmSync(directory, { recursive: true, force: true }));
  execFileSync(process.execPath, ['certs/main.ts', directory], { cwd: REPOSITORY, stdio: 'ignore' });
  const sink = await startSink(directory);
  leave.defer(() => sink.close());
  const cgroup = createCgroup('bench');
  leave.defer(() => cgroup.remove());
  const nginx = await startNginx({ cgroup, workers: 1, log: 'marks', core: NGINX_CORE });
  leave.defer(() => nginx.stop());

  const bench = { directory, nginx, sink, cgroup };
  const { port } = nginx;
  const [rate, connections] = [Number(values.rate), Number(values.connections)];
  const paced = fixedRate({ port, rate, core: OTHER_CORE });
  const fixed = await measureFixed(leave, bench, rate);
  const flood = fullLoad({ port, connections, core: OTHER_CORE });
  const full = await measurePairs({ bench, name: 'full load', load: flood, count: Number(values.pairs) });
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

interface Fixed {
  triples: Triple[];
  agent: { residentBytes: number; delivered: number; captured: number };
}

async function measureFixed(leave: Leave, bench: Bench, rate: number): Promise<Fixed> {
  const { cgroup, nginx, directory, sink } = bench;
  const toggle = createSwitch(cgroup);
  leave.defer(() => toggle.close());
  const burner = startBurner();
  leave.defer(() => burner.close());
  const load = await startWindowLoad({ port: nginx.port, rate });
  leave.defer(() => load.close());
  const agent = await startAgent({
    directory,
    cgroup: cgroup.path,
    pid: toggle.pid,
    name: 'bench',
    processorPort: sink.port,
    core: OTHER_CORE,
  });
  try {
    const triples = await measureWindows({
      count: Number(values.windows),
      seconds: Number(values['window-seconds']),
      load,
      agent,
      toggle,
      burner,
      nginxPid: workerOf(nginx),
      nginxCore: NGINX_CORE,
    });
    const { captured, delivered } = (await agent.settled()).exchanges;
    return { triples, agent: { residentBytes: residentBytes(agent.pid), captured, delivered } };
  } finally {
    await agent.stop();
    load.close();
    burner.close();
  }
}

function workerOf({ pid, workerPids }: Nginx): number {
  return workerPids()[0] ?? pid;
}

interface Pairs {
  bench: Bench;
  name: string;
  load: Load;
  count: number;
}

async function measurePairs({ bench, name, load, count }: Pairs): Promise<Pair[]> {
  const random = seededRandom(count);
  const pairs: Pair[] = [];
  for (let number = 1; number <= count; number++) {
    // By chance, so that nothing that changes on the machine favours either.
    const onFirst = random.chance(0.5);
    const first = await measure(bench, load, onFirst);
    const second = await measure(bench, load, !onFirst);
    const pair = onFirst ? { off: second, on: first } : { off: first, on: second };
    pairs.push(pair);
    const { off } = pair;
    process.stdout.write(
      `${name} ${number}: nginx ${off.nginxUsPerRequest.toFixed(2)} → ${pair.on.nginxUsPerRequest.toFixed(2)} µs ` +
        `(${(pair.on.nginxUsPerRequest / off.nginxUsPerRequest).toFixed(3)}${isDisturbed(pair) ? ', disturbed' : ''}), ` +
        `${off.perSecond.toFixed(0)} → ${pair.on.perSecond.toFixed(0)} requests/s` +
        `${pair.on.agent ? `, agent ${pair.on.agent.usPerExchange.toFixed(2)} µs per exchange` : ''}\n`,
    );
  }
  return pairs;
}

async function measure(bench: Bench, load: Load, on: boolean): Promise<Round> {
  const nginxPid = workerOf(bench.nginx);
  const round = { load, seconds: Number(values.seconds), nginxPid, nginxCore: NGINX_CORE };
  await rest();
  if (!on) return measureRound({ ...round, agent: null });
  return withAgent(bench, (agent) => measureRound({ ...round, agent }));
}

async function measureAll(bench: Bench): Promise<Completeness> {
  const { nginx, sink } = bench;
  const [rate, seconds] = [Number(values.rate), Number(values['fixed-seconds'])];
  process.stdout.write(`completeness: ${rate} per second for ${seconds} s\n`);
  return withAgent(bench, (agent) =>
    measureCompleteness({ nginx, agent, sink, rate, seconds, core: OTHER_CORE }),
  );
}

async function withAgent<T>(
  { directory, cgroup, sink }: Bench,
  work: (agent: Agent) => Promise<T>,
): Promise<T> {
  const agent = await startAgent({
    directory,
    cgroup: cgroup.path,
    name: 'bench',
    processorPort: sink.port,
    core: OTHER_CORE,
  });
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
