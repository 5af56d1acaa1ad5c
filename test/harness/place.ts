/** A small world for faults: nginx in a cgroup, certificates, and a processor that comes and goes on one port. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type FakeProcessor, makeSite, startProcessor } from '../../processor/fake/processor.ts';
import type { Stats } from '../../processor/store/store.ts';
import { type AgentProgram, type AgentProgramOptions, openAgent } from './agent-program.ts';
import { openCgroup, openNginx } from './capture.ts';
import type { Cgroup } from './cgroup.ts';
import { freePort } from './free-port.ts';
import type { Nginx } from './nginx.ts';
import { until } from './until.ts';

export interface RunningProcessor extends FakeProcessor {
  stats(): Promise<Stats>;
  /** The first stats that fulfil `wanted`, or the last ones before `timeoutMs`. */
  statsWhen(wanted: (stats: Stats) => boolean, timeoutMs?: number): Promise<Stats>;
}

export interface Place {
  /** Configuration and certificates of both. */
  directory: string;
  /** Of the processor. */
  storeFile: string;
  cgroup: Cgroup;
  nginx: Nginx;
  startProcessor(): Promise<RunningProcessor>;
  /** At the processor's port, unless another one is given. */
  openAgent(options?: Partial<Pick<AgentProgramOptions, 'more' | 'processorPort'>>): Promise<AgentProgram>;
}

export const TARGET = 'shop';

/** `storeFolder`: where the processor keeps its store, when it is not the place's directory. `processor`: more of its configuration. */
export async function openPlace(
  t: ExecutionContext,
  { storeFolder, processor = {} }: { storeFolder?: string; processor?: Record<string, unknown> } = {},
): Promise<Place> {
  const site = makeSite(processor, storeFolder);
  t.teardown(() => site.remove());
  const { folder: directory, client, authority } = site;
  const files = {
    'ca.crt': authority.cert,
    'ca.key': authority.key,
    'agent.crt': client.cert,
    'agent.key': client.key,
  };
  for (const [name, pem] of Object.entries(files)) writeFileSync(join(directory, name), pem);
  const processorPort = await freePort();
  const cgroup = openCgroup(t);
  const nginx = await openNginx(t, { cgroup });

  return {
    directory,
    storeFile: join(storeFolder ?? directory, 'processor.db'),
    cgroup,
    nginx,
    async startProcessor() {
      const env = { PODMIRROR_PROCESSOR_INGEST_PORT: String(processorPort) };
      const processor = await startProcessor(site, env);
      t.teardown(() => processor.end('SIGKILL'));
      const stats = () => processor.api('/api/stats') as Promise<Stats>;
      const statsWhen: RunningProcessor['statsWhen'] = async (wanted, timeoutMs = 20_000) => {
        await until(async () => wanted(await stats()), { timeoutMs, everyMs: 50 });
        return stats();
      };
      return { ...processor, stats, statsWhen };
    },
    openAgent: (options = {}) =>
      openAgent(t, { directory, cgroup: cgroup.path, name: TARGET, processorPort, ...options }),
  };
}
