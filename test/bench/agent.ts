/** The agent that is measured, on the core that nginx does not have, and what it needs around it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Agent, type AgentOptions, startAgent } from '../harness/agent.ts';
import { type Cgroup, createCgroup, whyNoCgroups } from '../harness/cgroup.ts';
import type { Leave } from '../harness/leave.ts';
import { type Sink, startSink } from './sink.ts';

export const NGINX_CORE = 0;
export const OTHER_CORE = 1;
const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));

/** Where a bench has its certificates, its server and what takes the batches. */
export interface Surroundings {
  directory: string;
  cgroup: Cgroup;
  sink: Sink;
}

/** Moves this process off nginx's core, too. */
export async function makeSurroundings(leave: Leave, name: string): Promise<Surroundings> {
  const why = whyNoCgroups() ?? (cpus().length < 2 ? 'needs two cores' : null);
  if (why) throw new Error(`bench: ${why}`);
  execFileSync('taskset', ['-acp', String(OTHER_CORE), String(process.pid)], { stdio: 'ignore' });

  const directory = mkdtempSync(join(tmpdir(), 'podmirror-bench-'));
  leave.defer(() => rmSync(directory, { recursive: true, force: true }));
  execFileSync(process.execPath, ['certs/main.ts', directory], { cwd: REPOSITORY, stdio: 'ignore' });
  const sink = await startSink(directory);
  leave.defer(() => sink.close());
  const cgroup = createCgroup(name);
  leave.defer(() => cgroup.remove());
  return { directory, cgroup, sink };
}

export function startMeasuredAgent(
  { directory, cgroup, sink }: Surroundings,
  options: Pick<AgentOptions, 'pid' | 'tlsMode'> = {},
): Promise<Agent> {
  const fixed = { directory, cgroup: cgroup.path, name: 'bench', processorPort: sink.port, core: OTHER_CORE };
  return startAgent({ ...fixed, ...options });
}
