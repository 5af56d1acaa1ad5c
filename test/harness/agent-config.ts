/** Writes the configuration of an agent that mirrors one cgroup to a processor on loopback. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { belowMount } from './cgroup.ts';

export interface AgentConfigOptions {
  /** Where the file goes and where `certs/main.ts` wrote. */
  directory: string;
  /** Absolute; the agent's configuration names it below the mount. */
  cgroup: string;
  /** Instead of a fixed cgroup: the one that this process is in. */
  pid?: number;
  name: string;
  /** null: for `--print`. */
  processorPort: number | null;
  healthPort: number;
  metricsPort: number;
  tlsMode?: string;
}

export function writeAgentConfig(options: AgentConfigOptions): string {
  const { directory, cgroup, pid, name, processorPort, healthPort, metricsPort, tlsMode } = options;
  const file = join(directory, processorPort === null ? 'print.yaml' : 'agent.yaml');
  writeFileSync(
    file,
    stringify({
      targets: [pid === undefined ? { name, cgroup: belowMount(cgroup) } : { name, pid }],
      ...(processorPort !== null && { processor: processorConfig(processorPort) }),
      ...(tlsMode !== undefined && { tls: { mode: tlsMode } }),
      listen: { health: `127.0.0.1:${healthPort}`, metrics: `127.0.0.1:${metricsPort}` },
    }),
  );
  return file;
}

/** The names that certs/main.ts gives its files, beside the configuration. */
function processorConfig(port: number) {
  return { url: `https://127.0.0.1:${port}`, ca: 'ca.crt', cert: 'agent.crt', key: 'agent.key' };
}
