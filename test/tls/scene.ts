/** nginx over TLS, an agent that mirrors it, and a processor: three programs, as they stand in the field. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type FakeProcessor, makeSite, startProcessor } from '../../processor/fake/processor.ts';
import { type AgentProgram, openAgent } from '../harness/agent-program.ts';
import { untilSeen } from './attach.ts';
import { openServer, type TlsServer } from './server.ts';
import { nginx, nginxPorts } from './servers/nginx.ts';

export const SCENE_TARGET = 'tls';

export interface Scene {
  server: TlsServer;
  agent: AgentProgram;
  processor: FakeProcessor;
  /** The processor's folder with its database, and the agent's configuration. */
  folder: string;
}

/** Resolves once an exchange was delivered. `wrapper`: of the agent. `more`: of its configuration. */
export async function openScene(
  t: ExecutionContext,
  { wrapper = [], more = {} }: { wrapper?: readonly string[]; more?: Record<string, unknown> } = {},
): Promise<Scene> {
  t.timeout(240_000);
  const server = await openServer(t, nginx(await nginxPorts()));
  const site = makeSite();
  t.teardown(() => site.remove());
  const { folder, client, authority } = site;
  const files = { 'ca.crt': authority.cert, 'agent.crt': client.cert, 'agent.key': client.key };
  for (const [name, pem] of Object.entries(files)) writeFileSync(join(folder, name), pem);
  const processor = await startProcessor(site);
  t.teardown(() => processor.end('SIGKILL'));
  const target = {
    directory: folder,
    cgroup: server.cgroup.path,
    name: SCENE_TARGET,
    processorPort: processor.ingestPort,
  };
  const agent = await openAgent(t, { ...target, wrapper, more });
  await untilSeen(server.port, async () => (await agent.ledger()).exchanges.delivered > 0);
  return { server, agent, processor, folder };
}
