/** What the agent covers, as the processor tells it: a real nginx over TLS, and a library beside it that nobody can read. */
import { existsSync } from 'node:fs';
import type { AgentDetail, AgentView } from '../../processor/coverage/agents.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { runLoad } from '../tls/load.ts';
import { openScene, SCENE_TARGET } from '../tls/scene.ts';

const GNUTLS = '/usr/lib/x86_64-linux-gnu/libgnutls.so.30';
/** A report may be half a minute away. */
const PATIENCE_MS = 45_000;

/** Files are looked into one after the other, and reports are told apart. */
function isComplete({ summary, targets }: AgentDetail): boolean {
  const versions = targets.flatMap(({ tls }) => tls.processes.map(({ version }) => version ?? ''));
  return (
    summary.tls.decrypted >= 6 &&
    summary.notCovered.some(({ library }) => library === 'GnuTLS') &&
    versions.some((version) => /^OpenSSL \d/.test(version))
  );
}

rootTest(
  "the processor's API tells of a node: library, version and build id of nginx, what was decrypted, and that GnuTLS is not covered",
  async (t) => {
    const { server, agent, processor } = await openScene(t, { more: { node: 'node-of-the-test' } });
    t.true(existsSync(GNUTLS), "apt's own");
    const script = `import ctypes, time; ctypes.CDLL("${GNUTLS}"); time.sleep(600)`;
    const other = server.cgroup.spawn('python3', ['-c', script], { stdio: 'ignore' });
    t.teardown(() => other.kill('SIGKILL'));
    const load = { port: server.port, prefix: 'covered', requests: 60, connections: 6, per: 10 };
    t.like(await runLoad({ ...load, version: '1.3' }), { answered: 60, failed: 0 });

    const told = async () => {
      const { agents } = (await processor.api('/api/coverage')) as { agents: AgentView[] };
      return agents[0] && ((await processor.api(`/api/coverage/${agents[0].id}`)) as AgentDetail);
    };
    const detail = await until(
      async () => {
        const agent = await told();
        return agent && isComplete(agent) ? agent : undefined;
      },
      { timeoutMs: PATIENCE_MS, everyMs: 500 },
    );
    t.truthy(detail, JSON.stringify(await told()));
    if (!detail) return;

    t.like(detail, { node: 'node-of-the-test', client: 'podmirror-agent', silent: false, refused: [] });
    t.regex(detail.agentVersion, /^\d+\.\d+\.\d+$/);
    t.is(detail.targets.length, 1);
    const [target] = detail.targets;
    t.is(target?.identity.name, SCENE_TARGET);
    t.is(target?.cgroup, server.cgroup.path);
    t.true((target?.tls.handshakes ?? 0) >= (target?.tls.decrypted ?? 0));
    const ofNginx = target?.tls.processes.find(
      ({ executable, attached }) => attached && /nginx/.test(executable),
    );
    t.regex(ofNginx?.library ?? '', /libssl\.so\.3$/);
    t.regex(ofNginx?.version ?? '', /^OpenSSL 3\.\d+\.\d+/);
    t.regex(ofNginx?.buildId ?? '', /^[0-9a-f]{40}$/);
    t.truthy(ofNginx?.probe);
    t.deepEqual(
      target?.notCovered.map(({ library }) => library),
      ['GnuTLS'],
    );
    const [gnutls] = target?.notCovered ?? [];
    t.regex(gnutls?.why ?? '', /GnuTLS is in it/);
    t.regex(gnutls?.executable ?? '', /python3/);
    t.deepEqual(
      detail.summary.notCovered,
      target?.notCovered.map((one) => ({ ...one, target: SCENE_TARGET })),
    );
    // The same as the agent says of itself.
    const { captured, delivered } = (await agent.ledger()).exchanges;
    t.true(captured >= detail.summary.exchanges.captured);
    t.true(delivered >= detail.summary.exchanges.delivered);
    t.notRegex(agent.stderr(), /tell coverage|takes no coverage/);
    t.log(target?.tls.handshakes, target?.tls.decrypted, target?.tls.dark, ofNginx?.version, gnutls);
  },
);
