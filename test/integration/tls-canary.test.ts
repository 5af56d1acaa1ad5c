/** A probe is proven without a handshake of ours: armed before anybody speaks, proven by the first connection, and that is said. */
import { openCapture } from '../harness/capture.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { runLoad } from '../tls/load.ts';
import { openScene } from '../tls/scene.ts';
import { openServer } from '../tls/server.ts';
import { nginx, nginxPorts } from '../tls/servers/nginx.ts';

rootTest(
  'the probe in nginx is armed before any handshake, and proven by the first connection that is read',
  async (t) => {
    const server = await openServer(t, nginx(await nginxPorts()));
    const { capture } = openCapture(t, {}, () => {});
    capture.select({ cgroup: server.cgroup.path, identity: { name: 'canary' } });
    const rows = () =>
      capture.coverage().targets.flatMap(({ tls }) => tls.processes.filter(({ attached }) => attached));
    const isArmed = () => rows().length > 0 && rows().every(({ armed }) => armed !== null);
    t.truthy(await until(isArmed, { timeoutMs: 30_000 }), JSON.stringify(rows()));
    for (const row of rows()) t.like(row, { armed: true, secrets: 0, verified: 0, proof: 'armed' });

    const load = { port: server.port, prefix: 'canary', version: '1.3' as const };
    t.like(await runLoad({ ...load, requests: 20, connections: 2, per: 10 }), { answered: 20, failed: 0 });
    const proven = () => rows().filter(({ proof }) => proof === 'proven');
    t.truthy(await until(() => rows().reduce((sum, { verified }) => sum + verified, 0) === 2));
    t.true(proven().length >= 1, JSON.stringify(rows()));
    t.true(
      proven().every(({ armed, secrets, verified }) => armed === true && secrets >= 5 * verified),
      'a connection counts once, whatever it asks',
    );
    t.deepEqual(
      rows().filter(({ proof }) => !['armed', 'proven'].includes(proof)),
      [],
    );
  },
);

rootTest('the agent says once per program that its probe is proven, and counts it', async (t) => {
  const { server, agent } = await openScene(t);
  const said = () => agent.stderr().match(/is proven: the first connection was verified/g) ?? [];
  t.truthy(await until(() => said().length > 0, { timeoutMs: 60_000, everyMs: 100 }), agent.stderr());
  const load = { port: server.port, prefix: 'again', version: '1.2' as const };
  t.like(await runLoad({ ...load, requests: 40, connections: 20, per: 2 }), { answered: 40, failed: 0 });
  const metrics = await agent.metrics();
  t.regex(metrics, /podmirror_target_tls_probes\{[^}]*proof="proven"\} [1-9]/);
  t.regex(metrics, /podmirror_target_tls_probes\{[^}]*proof="contradicted"\} 0/);
  t.is(said().length, 1);
});
