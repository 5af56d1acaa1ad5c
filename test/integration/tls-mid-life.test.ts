/** Connections that are older than the capture have no secret: they are dark or read by calls, and never wrong. */
import { rootTest } from '../harness/root-test.ts';
import { assertAllRight } from '../tls/all-right.ts';
import { attach } from '../tls/attach.ts';
import { startLoad } from '../tls/load.ts';
import { openServer } from '../tls/server.ts';
import { nginx, nginxPorts } from '../tls/servers/nginx.ts';
import { told } from '../tls/told.ts';

const OLD = 16;
const NEW = 48;

for (const version of ['1.2', '1.3'] as const) {
  rootTest(
    `attached in the midst of ${OLD} TLS ${version} connections: nothing of them is wrong, ${NEW} new ones are exact`,
    async (t) => {
      t.timeout(120_000);
      const server = await openServer(t, nginx(await nginxPorts()));
      const shape = { port: server.port, version, rate: 3000 };
      const old = await startLoad({
        ...shape,
        prefix: 'old',
        requests: OLD * 100,
        connections: OLD,
        per: 100,
        hold: 50,
      });
      t.teardown(() => old.stop());
      await old.held;
      const { capture, account, quiet, ...rest } = await attach(t, server, { version });
      account.begin('old', { older: true });
      old.release();
      t.like(await old.done, { answered: OLD * 100, failed: 0 });
      await quiet();
      t.deepEqual(account.wrong(), []);
      const [target] = capture.coverage().targets;
      t.log(`${account.count()} of ${OLD * 50} exchanges of old connections`, told(capture));
      // They are counted, read or not.
      t.is(target?.connections.joined_late, OLD);

      const attached = { capture, account, quiet, ...rest };
      await assertAllRight(t, attached, server, {
        ...shape,
        prefix: 'new',
        requests: NEW * 100,
        connections: NEW,
        per: 100,
      });
    },
  );
}
