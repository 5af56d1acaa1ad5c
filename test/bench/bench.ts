/** `make bench`: what the agent costs nginx, what it costs itself, and whether it sees everything. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Agent, startAgent } from '../harness/agent.ts';
import { createCgroup, whyNoCgroups } from '../harness/cgroup.ts';
import { type Leave, leavingNothing } from '../harness/leave.ts';
import { type Nginx, startNginx } from '../harness/nginx.ts';
import { seededRandom } from '../harness/random.ts';
import { runTool } from '../harness/run-tool.ts';
import { withBurner } from './burner.ts';
import { type Completeness, measureCompleteness } from './completeness.ts';
import { fixedRate, fullLoad, type Load } from './load.ts';
import { machine } from './machine.ts';
import { measureProgram } from './program-cost.ts';
import { isDisturbed, type Pair, renderReport } from './report.ts';
import { measureRound, type Round, rest } from './round.ts';
import { type Sink, startSink } from './sink.ts';
import { spreadOf } from './statistics.ts';

const usage = `usage: node test/bench/bench.ts [--pairs 30] [--full-pairs 10] [--control-pairs 20] [--seconds 2] [--connections 50] [--rate 20000] [--fixed-seconds 10]

Needs root and two cores: nginx runs on core 0, everything else on core 1. Writes test/bench/results.md.
`;
const NGINX_CORE = 0;
const OTHER_CORE = 1;
const RESULTS = fileURLToPath(new URL('./results.md', import.meta.url));
const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const INSPECTION = join(REPOSITORY, 'processor/inspect.bench.ts');

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '30' },
    'full-pairs': { type: 'string', default: '10' },
    'control-pairs': { type: 'string', default: '20' },
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
  cgroup: string;
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

  const bench = { directory, nginx, sink, cgroup: cgroup.path };
  const { port } = nginx;
  const [rate, connections] = [Number(values.rate), Number(values.connections)];
  const paced = fixedRate({ port, rate, core: OTHER_CORE });
  const fixed = await measurePairs({ bench, name: 'fixed rate', load: paced, count: Number(values.pairs) });
  const part = partOfCore(fixed);
  const control = await measurePairs({
    bench,
    name: `control, ${(part * 100).toFixed(0)} % of the other core`,
    load: paced,
    count: Number(values['control-pairs']),
    beside: (work) => withBurner({ core: OTHER_CORE, part }, () => work(null)),
  });
  const flood = fullLoad({ port, connections, core: OTHER_CORE });
  const full = await measurePairs({
    bench,
    name: 'full load',
    load: flood,
    count: Number(values['full-pairs']),
  });
  const program = await withAgent(bench, (agent) => measureProgram(agent, paced, 5));
  const completeness = await measureAll(bench);
  const inspection = await inspect();
  const report = renderReport({
    control: { pairs: control, part },
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

/** What runs beside nginx in the rounds that are "on"; the agent, unless something else is given. */
type Beside = (work: (agent: Agent | null) => Promise<Round>) => Promise<Round>;

interface Pairs {
  bench: Bench;
  name: string;
  load: Load;
  count: number;
  beside?: Beside;
}

async function measurePairs({ bench, name, load, count, beside }: Pairs): Promise<Pair[]> {
  const on: Beside = beside ?? ((work) => withAgent(bench, work));
  const random = seededRandom(count);
  const pairs: Pair[] = [];
  for (let number = 1; number <= count; number++) {
    // By chance, so that nothing that changes on the machine favours either.
    const onFirst = random.chance(0.5);
    const first = await measure(bench, load, onFirst ? on : undefined);
    const second = await measure(bench, load, onFirst ? undefined : on);
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

/** What the agent took of its core, at the median. */
function partOfCore(pairs: readonly Pair[]): number {
  const parts = pairs.map(({ on }) => ((on.agent?.usPerExchange ?? 0) * on.perSecond) / 1e6);
  return Math.min(0.9, spreadOf(parts).median);
}

async function measure(bench: Bench, load: Load, on: Beside | undefined): Promise<Round> {
  const [nginxPid = bench.nginx.pid] = bench.nginx.workerPids();
  const round = { load, seconds: Number(values.seconds), nginxPid, nginxCore: NGINX_CORE };
  await rest();
  if (!on) return measureRound({ ...round, agent: null });
  return on((agent) => measureRound({ ...round, agent }));
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
    cgroup,
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
