/** Session secrets: in the agent while their connections live, and nowhere else; nowhere at all afterwards. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { AgentView } from '../../processor/coverage/agents.ts';
import { startProgram } from '../harness/program.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { type Load, startLoad } from '../tls/load.ts';
import { openScene, type Scene } from '../tls/scene.ts';
import { searchSecrets } from '../tls/secret-search.ts';
import type { TlsServer } from '../tls/server.ts';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const CONNECTIONS = 8;

const keylogOf = ({ folder }: TlsServer) => join(folder, 'keylog');

/** Connections of both versions that stay open, their first requests delivered. */
async function holdConnections(t: ExecutionContext, { server, agent }: Scene): Promise<Load[]> {
  const before = (await agent.ledger()).exchanges.delivered;
  const shape = {
    port: server.port,
    requests: CONNECTIONS * 10,
    connections: CONNECTIONS,
    per: 10,
    hold: 5,
    keylog: keylogOf(server),
  };
  const loads = await Promise.all(
    (['1.2', '1.3'] as const).map((version) => startLoad({ ...shape, version, prefix: `held-${version}` })),
  );
  for (const load of loads) t.teardown(() => load.stop());
  await Promise.all(loads.map(({ held }) => held));
  const wanted = before + 2 * CONNECTIONS * 5;
  await agent.ledgerWhen(({ delivered }) => delivered >= wanted);
  return loads;
}

async function endConnections(loads: readonly Load[], t: ExecutionContext): Promise<void> {
  for (const load of loads) load.release();
  for (const { done } of loads) t.like(await done, { answered: CONNECTIONS * 10, failed: 0 });
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true, encoding: 'utf8' })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}

rootTest(
  'secrets are in no process but client, server and agent, in no log, no database and no delivery',
  async (t) => {
    const scene = await openScene(t);
    const { server, agent, processor, folder } = scene;
    const keylog = keylogOf(server);
    const loads = await holdConnections(t, scene);
    // Coverage too is a delivery, and tells of these very connections by now.
    const covered = async () => {
      const { agents } = (await processor.api('/api/coverage')) as { agents: AgentView[] };
      return (agents[0]?.summary.tls.decrypted ?? 0) >= 2 * CONNECTIONS;
    };
    t.true(await until(covered, { timeoutMs: 45_000, everyMs: 200 }));
    const theirs = loads.map(({ pid }) => pid);

    const control = await searchSecrets({ keylog, pids: theirs });
    t.true(control.found.length > 0, 'the harness itself: the client has them, and the search finds them');
    const logs = join(server.folder, 'agent.log');
    writeFileSync(logs, agent.stdout() + agent.stderr() + processor.log());
    const files = [logs, ...filesBelow(folder)];
    t.true(files.some((file) => file.endsWith('processor.db')));
    // The processor is among all, with whatever it was sent.
    const except = [agent.pid, ...server.cgroup.pids(), ...theirs];
    const { secrets, processes, bytes, found } = await searchSecrets({ keylog, pids: 'all', except, files });
    t.log(`${secrets} secrets, ${processes} processes, ${Math.round(bytes / 2 ** 20)} MiB`);
    t.true(secrets >= 2 * CONNECTIONS);
    t.deepEqual(found, []);
    await endConnections(loads, t);
  },
);

rootTest('when the connections have ended, the secrets are not even in the agent', async (t) => {
  const scene = await openScene(t);
  const { agent, server } = scene;
  const keylog = keylogOf(server);
  const loads = await holdConnections(t, scene);
  const held = await searchSecrets({ keylog, pids: [agent.pid] });
  t.log('while they live', [...new Set(held.found.map(({ secret }) => secret))].sort());
  t.true(held.found.length > 0, 'the harness itself: they are there while the connections live');
  const before = (await agent.ledger()).exchanges.delivered;
  await endConnections(loads, t);
  await agent.ledgerWhen(({ delivered }) => delivered >= before + 2 * CONNECTIONS * 5);

  let found = held.found;
  await until(
    async () => {
      ({ found } = await searchSecrets({ keylog, pids: [agent.pid] }));
      return found.length === 0;
    },
    { timeoutMs: 20_000, everyMs: 500 },
  );
  t.deepEqual(found, []);
});

rootTest('an agent that crashes leaves no core file', async (t) => {
  const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim();
  if (pattern.startsWith('|')) {
    t.pass(`nothing to see: cores go to a program here (${pattern})`);
    return;
  }
  const folder = pattern.startsWith('/') ? dirname(pattern) : REPOSITORY;
  const cores = () => readdirSync(folder).filter((name) => /^core(\.\d+)?$/.test(name) && !before.has(name));
  const before = new Set(existsSync(folder) ? readdirSync(folder) : []);
  t.teardown(() => {
    for (const name of cores()) rmSync(join(folder, name));
  });
  const unlimited = ['sh', '-c', 'ulimit -c unlimited && exec "$@"', 'sh'] as const;
  const other = startProgram([...unlimited, 'sleep', '60']);
  await until(() => readFileSync(`/proc/${other.pid}/comm`, 'utf8').trim() === 'sleep');
  other.signal('SIGQUIT');
  await other.ended;
  t.is(cores().length, 1, 'the harness itself: another program leaves one');
  for (const name of cores()) rmSync(join(folder, name));

  const { agent } = await openScene(t, { wrapper: unlimited });
  agent.signal('SIGQUIT');
  t.is(await agent.ended, null);
  t.deepEqual(cores(), []);
});
