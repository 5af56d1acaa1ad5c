/** Other servers over TLS: libssl with threads, OpenSSL inside an executable, and Go. */
import { rootTest } from '../harness/root-test.ts';
import { assertAllRight } from '../tls/all-right.ts';
import { attach } from '../tls/attach.ts';
import type { LoadOptions } from '../tls/load.ts';
import { openServer } from '../tls/server.ts';
import { apache, go, haproxy, node, python } from '../tls/servers/others.ts';

const SERVERS = [
  { title: 'haproxy with two threads', program: haproxy },
  { title: 'Apache with threads', program: apache },
  { title: 'a Python server with a thread a connection', program: python },
  { title: 'a Node server', program: node },
  { title: 'a stripped Go server', program: go },
];

const SHAPES: Pick<LoadOptions, 'requests' | 'per' | 'resume'>[] = [
  { requests: 4000, per: 100 },
  { requests: 400, per: 1 },
  { requests: 600, per: 3, resume: true },
];

for (const { title, program } of SERVERS) {
  rootTest(`${title}, TLS 1.2 and 1.3: all exchanges are right and none is missing`, async (t) => {
    t.timeout(300_000);
    const server = await openServer(t, program);
    const attached = await attach(t, server);
    for (const version of ['1.2', '1.3'] as const) {
      for (const [index, shape] of SHAPES.entries()) {
        const prefix = `${version}-${index}`;
        await assertAllRight(t, attached, server, {
          ...shape,
          version,
          prefix,
          port: server.port,
          rate: 3000,
          slow: 40,
        });
      }
    }
  });
}
