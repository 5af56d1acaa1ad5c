/** The OpenSSL of other Debian releases, live: Debian 11, 12, 13 and the newest. */
import { assertClosed, openCapture } from '../harness/capture.ts';
import type { CapturedExchange } from '../harness/exchanges.ts';
import { headerValue } from '../harness/facts.ts';
import { rootTest } from '../harness/root-test.ts';
import { runTool } from '../harness/run-tool.ts';
import { until } from '../harness/until.ts';
import { openServer } from '../tls/server.ts';
import { sServer } from '../tls/servers/s-server.ts';
import { told } from '../tls/told.ts';

const REQUESTS = 20;
const SUITES = ['bullseye', 'bookworm', 'trixie', 'sid'];
const VERSIONS = ['1.2', '1.3'] as const;

for (const suite of SUITES) {
  rootTest(`OpenSSL of Debian ${suite}, TLS 1.2 and 1.3: every exchange is delivered`, async (t) => {
    t.timeout(240_000);
    const server = await openServer(t, sServer(suite));
    const { capture, collector } = openCapture(t);
    capture.select({ cgroup: server.cgroup.path, identity: { name: suite } });
    const get = (version: string, id: string) =>
      runTool('curl', [
        ...['-sSk', '-o', '/dev/null', `--tlsv${version}`, '--tls-max', version, '-H', `X-Id: ${id}`],
        `https://127.0.0.1:${server.port}/${id}`,
      ]);
    const idOf = ({ request }: CapturedExchange) => headerValue(request.headers, 'x-id') ?? '';
    const seen = await until(async () => {
      await get('1.3', 'warm');
      return until(() => collector.exchanges.length > 0, { timeoutMs: 200 });
    });
    t.truthy(seen, told(capture));

    const sent = VERSIONS.flatMap((version) =>
      Array.from({ length: REQUESTS }, (_, n) => ({ version, id: `${version}-${n}` })),
    );
    for (const { version, id } of sent) await get(version, id);
    await collector.finish();
    t.deepEqual(
      collector.exchanges
        .filter((exchange) => idOf(exchange) !== 'warm')
        .map((exchange) => [
          idOf(exchange),
          exchange.request.target.toString(),
          exchange.response?.status,
          exchange.connection.tls?.version,
        ]),
      sent.map(({ version, id }) => [id, `/${id}`, 200, `TLSv${version}`]),
      told(capture),
    );
    const [library] = capture.coverage().targets[0]?.tls.processes ?? [];
    t.log(library?.library, library?.version, library?.probe);
    assertClosed(t, capture.ledger());
  });
}
