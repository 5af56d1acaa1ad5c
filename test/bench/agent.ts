/** The agent that is measured, on the core that nginx does not have. */
import { type Agent, type AgentOptions, startAgent } from '../harness/agent.ts';
import type { Cgroup } from '../harness/cgroup.ts';
import type { Sink } from './sink.ts';

export const NGINX_CORE = 0;
export const OTHER_CORE = 1;

/** Where a bench has its certificates, its server and what takes the batches. */
export interface Surroundings {
  directory: string;
  cgroup: Cgroup;
  sink: Sink;
}

export function startMeasuredAgent(
  { directory, cgroup, sink }: Surroundings,
  options: Pick<AgentOptions, 'pid' | 'tlsMode'> = {},
): Promise<Agent> {
  const fixed = { directory, cgroup: cgroup.path, name: 'bench', processorPort: sink.port, core: OTHER_CORE };
  return startAgent({ ...fixed, ...options });
}
