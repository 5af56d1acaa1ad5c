/** HTTPS rows of `make bench`: what TLS capture costs nginx, by secrets and by calls, and what it costs the agent. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startAgent } from '../harness/agent.ts';
import { createCgroup, whyNoCgroups } from '../harness/cgroup.ts';
import { type Leave, leavingNothing } from '../harness/leave.ts';
import { startNginx } from '../harness/nginx.ts';
import { startBurner } from './burner.ts';
import { machine } from './machine.ts';
import { startSink } from './sink.ts';
import { createSwitch } from './switch.ts';
import { renderTlsReport, type TlsRow } from './tls-report.ts';
import { measureWindows } from './windows.ts';
import { wrkWindows } from './wrk-windows.ts';

const usage = `usage: node test/bench/tls.ts [--windows 24] [--window-seconds 1] [--connections 16] [--modes secrets,calls]

Needs root and two cores: nginx runs on core 0, everything else on core 1. Writes test/bench/tls-results.md.
`;
const NGINX_CORE = 0;
const OTHER_CORE = 1;
const RESULTS = fileURLToPath(new URL('./tls-results.md', import.meta.url));
const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));

/** Asked of nginx's CPU per request on ÷ off. */
const CASES = [
  { name: 'keep-alive, 1 KiB', file: '1k.txt', newConnections: false, asked: 1.12 },
  { name: 'keep-alive, 64 KiB', file: '64k.bin', newConnections: false, asked: 1.05 },
  { name: 'new connection per request, 1 KiB', file: '1k.txt', newConnections: true, asked: 1.1 },
] as const;

const { values } = parseArgs({
  options: {
    windows: { type: 'string', default: '24' },
    'window-seconds': { type: 'string', default: '1' },
    connections: { type: 'string', default: '16' },
    modes: { type: 'string', default: 'secrets,calls' },
    help: { type: 'boolean', short: 'h' },
  },
});

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
  const cgroup = createCgroup('bench-tls');
  leave.defer(() => cgroup.remove());
  const tls = { certificate: join(directory, 'processor.crt'), key: join(directory, 'processor.key') };
  const nginx = await startNginx({ cgroup, workers: 1, log: 'marks', core: NGINX_CORE, tls });
  leave.defer(() => nginx.stop());
  const nginxPid = nginx.workerPids()[0] ?? nginx.pid;
  const burner = startBurner();
  leave.defer(() => burner.close());

  const rows: TlsRow[] = [];
  for (const mode of values.modes.split(',')) {
    for (const { name, file, newConnections, asked } of CASES) {
      process.stdout.write(`${mode}: ${name}\n`);
      const toggle = createSwitch(cgroup);
      const agent = await startAgent({
        directory,
        cgroup: cgroup.path,
        pid: toggle.pid,
        name: 'bench',
        processorPort: sink.port,
        tlsMode: mode,
        core: OTHER_CORE,
      });
      try {
        const load = wrkWindows({
          url: `https://127.0.0.1:${nginx.tlsPort}/${file}`,
          connections: Number(values.connections),
          newConnections,
          core: OTHER_CORE,
        });
        const triples = await measureWindows({
          count: Number(values.windows),
          seconds: Number(values['window-seconds']),
          load,
          agent,
          toggle,
          burner,
          nginxPid,
          nginxCore: NGINX_CORE,
        });
        const { exchanges, bytes } = await agent.settled();
        rows.push({ mode, name, asked, triples, exchanges, bytes });
      } finally {
        await agent.stop();
        await toggle.close();
      }
    }
  }
  const report = renderTlsReport(rows, machine('test/bench/tls.ts'));
  writeFileSync(RESULTS, report);
  process.stdout.write(`\n${report}\nwritten to ${RESULTS}\n`);
  return 0;
}
