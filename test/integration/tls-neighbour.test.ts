/** A cgroup that is no target and uses the very same library: nothing of it is delivered. */
import { assertClosed, openCapture, openCgroup } from '../harness/capture.ts';
import { rootTest } from '../harness/root-test.ts';
import { untilSeen } from '../tls/attach.ts';
import { runLoad } from '../tls/load.ts';
import { openServer } from '../tls/server.ts';
import { nginx, nginxPorts } from '../tls/servers/nginx.ts';
import { go } from '../tls/servers/others.ts';
import { alteredText } from '../tls/text.ts';

const REQUESTS = 3000;

for (const { title, program } of [
  { title: 'nginx with the same libssl', program: async () => nginx(await nginxPorts()) },
  { title: 'a Go server of the same file', program: async () => go },
]) {
  rootTest(`${title} in another cgroup serves HTTPS at the same time and is never seen`, async (t) => {
    t.timeout(120_000);
    const [target, neighbour] = [openCgroup(t, 'target'), openCgroup(t, 'neighbour')];
    const server = await openServer(t, await program(), { cgroup: target });
    const other = await openServer(t, await program(), { cgroup: neighbour });
    const ports = new Map<number, number>();
    const { capture, collector } = openCapture(
      t,
      { ringBytes: 64 << 20 },
      ({ connection: { serverPort } }) => {
        ports.set(serverPort, (ports.get(serverPort) ?? 0) + 1);
      },
    );
    capture.select({ cgroup: target.path, identity: { name: 'target' } });
    await untilSeen(server.port, () => ports.size > 0);

    const before = ports.get(server.port) ?? 0;
    const shape = { requests: REQUESTS, per: 30, prefix: 'n', rate: 3000 };
    for (const outcome of await Promise.all([
      runLoad({ ...shape, port: server.port }),
      runLoad({ ...shape, port: other.port }),
    ])) {
      t.like(outcome, { answered: REQUESTS, failed: 0 });
    }
    await collector.finish();
    t.deepEqual([...ports], [[server.port, before + REQUESTS]]);
    const [coverage] = capture.coverage().targets;
    const pids = new Set([...neighbour.pids(), other.pid]);
    t.deepEqual(
      coverage?.tls.processes.filter(({ pid }) => pids.has(pid)),
      [],
    );
    t.log(`altered bytes in the neighbour: ${alteredText(neighbour.pids(), /libssl/).length}`);
    assertClosed(t, capture.ledger());
  });
}
