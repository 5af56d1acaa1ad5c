/** A client may close its sending side right after its last request; the responses still come. */
import { assertClosed, openCapture, openCgroup, openNginx } from '../harness/capture.ts';
import { headerValue } from '../harness/facts.ts';
import { getRequest, openConnection } from '../harness/raw-connection.ts';
import { rootTest } from '../harness/root-test.ts';

for (const pipelined of [1, 5]) {
  rootTest(`${pipelined} requests followed at once by FIN are all reported with their status`, async (t) => {
    const cgroup = openCgroup(t);
    const nginx = await openNginx(t, { cgroup });
    const { capture, collector } = openCapture(t);
    capture.select({ cgroup: cgroup.path, identity: { name: 'web' } });
    const connection = await openConnection(nginx.port);
    const ids = Array.from({ length: pipelined }, (_, n) => `fin-${n}`);
    connection.socket.end(ids.map((id) => getRequest('/status/404', id)).join(''));
    for (const _ of ids) t.is((await connection.response()).status, 404);

    const exchanges = await collector.finish(300);
    t.deepEqual(
      exchanges.map(({ request, response }) => [headerValue(request.headers, 'x-id'), response?.status]),
      ids.map((id) => [id, 404]),
    );
    t.false(exchanges.some(({ gap }) => gap));
    assertClosed(t, capture.ledger());
  });
}
