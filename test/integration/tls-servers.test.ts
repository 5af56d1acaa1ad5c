/** Other servers over TLS: libssl with threads, OpenSSL inside an executable, and Go. */
import { assertClosed } from '../harness/capture.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { assertAllRight } from '../tls/all-right.ts';
import { attach } from '../tls/attach.ts';
import { type LoadOptions, runLoad } from '../tls/load.ts';
import { openServer } from '../tls/server.ts';
import { apache, go, haproxy, node, python } from '../tls/servers/others.ts';
import { told } from '../tls/told.ts';

interface Server {
  title: string;
  program: typeof go;
  /** Versions in which resumed sessions are read; without it, all. */
  resumes?: string[];
}

const SERVERS: Server[] = [
  { title: 'haproxy with two threads', program: haproxy },
  { title: 'Apache with threads', program: apache },
  { title: 'a Python server with a thread a connection', program: python },
  { title: 'a Node server', program: node },
  { title: 'a stripped Go server', program: go, resumes: ['1.3'] },
];

const SHAPES: Pick<LoadOptions, 'requests' | 'per' | 'resume'>[] = [
  { requests: 4000, per: 100 },
  { requests: 400, per: 1 },
  { requests: 600, per: 3, resume: true },
];

for (const { title, program, resumes = ['1.2', '1.3'] } of SERVERS) {
  rootTest(`${title}, TLS 1.2 and 1.3: all exchanges are right and none is missing`, async (t) => {
    t.timeout(300_000);
    const server = await openServer(t, program);
    const attached = await attach(t, server);
    for (const version of ['1.2', '1.3'] as const) {
      for (const [index, shape] of SHAPES.entries()) {
        if (shape.resume && !resumes.includes(version)) continue;
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

rootTest(
  'a Go server that resumes TLS 1.2, for which it logs no secret: resumed connections are dark and counted',
  async (t) => {
    t.timeout(240_000);
    const server = await openServer(t, go);
    const { capture, account, quiet, unseen } = await attach(t, server);
    account.begin('resumed');
    server.mark();
    const outcome = await runLoad({
      port: server.port,
      prefix: 'resumed',
      requests: 300,
      per: 3,
      resume: true,
      version: '1.2',
    });
    t.like(outcome, { answered: 300, failed: 0 });
    await quiet();
    const lines = (await server.accessLog(300)).filter(({ id }) => id.startsWith('resumed-'));
    const { wrong, missingCount } = account.compare(lines);
    t.deepEqual(wrong, []);
    t.is(missingCount, lines.filter(({ resumed }) => resumed).length);
    // They wait a minute for a secret that may yet be logged.
    const dark = () =>
      Object.values(capture.coverage().targets[0]?.tls.dark ?? {}).reduce((sum, count) => sum + count, 0);
    const expected = outcome.resumed + unseen();
    await until(() => dark() === expected, { timeoutMs: 100_000, everyMs: 500 });
    t.is(dark(), expected, told(capture));
    assertClosed(t, capture.ledger());
  },
);
