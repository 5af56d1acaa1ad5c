/** HTTPS rows of `make bench`: what reading TLS costs nginx, by secrets, by calls, and by probes at the symbols; and the agent. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Ledger, TlsCoverage } from '../../bpf/index.d.ts';
import type { Agent } from '../harness/agent.ts';
import { type Cgroup, createCgroup } from '../harness/cgroup.ts';
import { type Leave, leavingNothing } from '../harness/leave.ts';
import { startNginx } from '../harness/nginx.ts';
import { until } from '../harness/until.ts';
import { makeSurroundings, NGINX_CORE, OTHER_CORE, startMeasuredAgent } from './agent.ts';
import { startBurner } from './burner.ts';
import { machine } from './machine.ts';
import { createSwitch } from './switch.ts';
import { createSymbolProbes } from './symbol-probes.ts';
import { renderTlsReport, type TlsRow } from './tls-report.ts';
import { startWindowLoad } from './window-load.ts';
import { measureWindows, type Subject, type Triple } from './windows.ts';

const usage = `usage: node test/bench/tls.ts [--windows 24] [--window-seconds 0.5] [--ways secrets,neighbour,calls,symbols]

Needs root and two cores: nginx runs on core 0, everything else on core 1. Writes test/bench/tls-results.md.
`;
const RESULTS = fileURLToPath(new URL('./tls-results.md', import.meta.url));

/** Requests per second: what leaves the client's core room for the agent. Asked of nginx's CPU per request on ÷ off. */
const CASES = [
  { name: 'keep-alive, 1 KiB', path: '/1k.txt', rate: 5000, newConnections: false, asked: 1.12 },
  { name: 'keep-alive, 64 KiB', path: '/64k.bin', rate: 2000, newConnections: false, asked: 1.05 },
  { name: 'new connection, 1 KiB', path: '/1k.txt', rate: 400, newConnections: true, asked: 1.1 },
] as const;

const hasProbe = ({ processes }: TlsCoverage) => processes.some(({ attached }) => attached);

/** What the agent does; `isInPlace`: to read connections that begin now. */
interface Way {
  tlsMode: string;
  isInPlace: (tls: TlsCoverage) => boolean;
  /** It mirrors another nginx, idle, of the same library: the one that is measured is no target. */
  beside?: true;
}
const WAYS: Record<string, Way> = {
  secrets: { tlsMode: 'secrets', isInPlace: hasProbe },
  neighbour: { tlsMode: 'secrets', isInPlace: hasProbe, beside: true },
  calls: { tlsMode: 'calls', isInPlace: ({ calls }) => calls.length > 0 },
};

const { values } = parseArgs({
  options: {
    windows: { type: 'string', default: '24' },
    'window-seconds': { type: 'string', default: '0.5' },
    ways: { type: 'string', default: 'secrets,neighbour,calls,symbols' },
    help: { type: 'boolean', short: 'h' },
  },
});

if (values.help) process.stdout.write(usage);
else process.exitCode = await leavingNothing(main);

async function main(leave: Leave): Promise<number> {
  const surroundings = await makeSurroundings(leave, 'bench-tls');
  const { directory, cgroup } = surroundings;
  const tls = { certificate: join(directory, 'processor.crt'), key: join(directory, 'processor.key') };
  const nginx = await startNginx({ cgroup, workers: 1, log: 'marks', core: NGINX_CORE, tls });
  leave.defer(() => nginx.stop());
  const nginxPid = nginx.workerPids()[0] ?? nginx.pid;
  const burner = startBurner();
  leave.defer(() => burner.close());

  const measure = async (subject: Subject, { path, rate, newConnections }: (typeof CASES)[number]) => {
    const load = await startWindowLoad({ port: nginx.tlsPort ?? 0, rate, path, tls: true, newConnections });
    try {
      return await measureWindows({
        count: Number(values.windows),
        seconds: Number(values['window-seconds']),
        load,
        subject,
        burner,
        nginxPid,
        nginxCore: NGINX_CORE,
      });
    } finally {
      load.close();
    }
  };
  const byAgent = async (way: Way, work: (subject: Subject) => Promise<Triple[]>) => {
    const mirrored = way.beside ? await startIdleNginx(leave, tls) : cgroup;
    const toggle = createSwitch(mirrored);
    const agent = await startMeasuredAgent(surroundings, { pid: toggle.pid, tlsMode: way.tlsMode });
    const turn = async (on: boolean) => {
      await toggle.turn(on, agent);
      if (on) await inPlace(agent, way);
    };
    try {
      const triples = await work({ pid: agent.pid, turn });
      const ledger = await agent.settled();
      return { triples, ledger: way.beside ? unseen(ledger) : whole(ledger, triples) };
    } finally {
      await agent.stop();
      await toggle.close();
    }
  };
  const bySymbols = async (work: (subject: Subject) => Promise<Triple[]>) => {
    const probes = createSymbolProbes(nginxPid);
    try {
      return { triples: await work(probes), ledger: null };
    } finally {
      probes.close();
    }
  };

  const rows: TlsRow[] = [];
  for (const way of values.ways.split(',')) {
    // A neighbour meets the probe in its handshakes only.
    for (const one of CASES.filter(({ newConnections }) => newConnections || !WAYS[way]?.beside)) {
      process.stdout.write(`${way}: ${one.name}\n`);
      const work = (subject: Subject) => measure(subject, one);
      const agent = WAYS[way];
      if (!agent && way !== 'symbols') throw new Error(`bench: no way ${way}\n${usage}`);
      rows.push({ ...one, way, ...(agent ? await byAgent(agent, work) : await bySymbols(work)) });
    }
  }
  const report = renderTlsReport(rows, machine('test/bench/tls.ts'));
  writeFileSync(RESULTS, report);
  process.stdout.write(`\n${report}\nwritten to ${RESULTS}\n`);
  return 0;
}

async function startIdleNginx(leave: Leave, tls: { certificate: string; key: string }): Promise<Cgroup> {
  const cgroup = createCgroup('bench-beside');
  leave.defer(() => cgroup.remove());
  const nginx = await startNginx({ cgroup, workers: 1, log: 'marks', core: OTHER_CORE, tls });
  leave.defer(() => nginx.stop());
  return cgroup;
}

async function inPlace(agent: Agent, way: Way): Promise<void> {
  const ready = async () => {
    const [target] = (await agent.coverage()).targets;
    return target !== undefined && way.isInPlace(target.tls);
  };
  if (!(await until(ready, { everyMs: 10 }))) throw new Error('bench: no probes');
}

/** Not one byte of who is no target. */
function unseen({ exchanges, bytes }: Ledger): null {
  if (exchanges.captured > 0 || bytes.seen > 0)
    throw new Error(`bench: ${bytes.seen} bytes of no target were seen`);
  return null;
}

/** A window whose connections stayed dark would cost less than it should. */
function whole(ledger: Ledger, triples: readonly Triple[]): Ledger {
  const asked = triples.reduce((sum, { on }) => sum + on.requests, 0);
  const { captured } = ledger.exchanges;
  if (captured < asked) throw new Error(`bench: of ${asked} requests ${captured} were captured`);
  return ledger;
}
