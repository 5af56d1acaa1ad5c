/** Requests in pieces, all there before the server reads the first: counting the packets that begin with a method misleads. */
import { setTimeout as sleep } from 'node:timers/promises';
import { assertClosed, openCapture, openCgroup, openNginx } from '../harness/capture.ts';
import { headerValue } from '../harness/facts.ts';
import { openConnection } from '../harness/raw-connection.ts';
import { rootTest } from '../harness/root-test.ts';

for (const file of ['/chunked/1k.txt', '/1k.txt']) {
  rootTest(`HEAD ${file} in pieces and others behind it are told from one another`, async (t) => {
    const cgroup = openCgroup(t);
    const nginx = await openNginx(t, { cgroup, workers: 0 });
    const { capture, collector } = openCapture(t);
    capture.select({ cgroup: cgroup.path, identity: { name: 'web' } });
    const connection = await openConnection(nginx.port);
    // Accepted, so that a stopped nginx still takes what comes.
    await sleep(50);
    process.kill(nginx.pid, 'SIGSTOP');
    const head = (method: string, target: string, id: number) =>
      `${method} ${target} HTTP/1.1\r\nHost: shop.example\r\nX-Id: piece-${id}\r\n\r\n`;
    const pieces = [
      'HE',
      head('HEAD', file, 0).slice(2),
      head('GET', '/text', 1),
      'GE',
      head('GET', '/text', 2).slice(2),
    ];
    for (const piece of pieces) {
      connection.write(piece);
      await sleep(10);
    }
    process.kill(nginx.pid, 'SIGCONT');
    t.is((await connection.response('HEAD')).status, 200);
    for (let n = 1; n < 3; n++) t.is((await connection.response()).status, 200);

    const exchanges = await collector.finish(300);
    t.deepEqual(
      exchanges.map(({ request }) => headerValue(request.headers, 'x-id')),
      ['piece-0', 'piece-1', 'piece-2'],
    );
    connection.close();
    await sleep(50);
    assertClosed(t, capture.ledger());
  });
}
