/** What the processor makes of proxies, hosts, paths and routes of traffic that a real nginx served. */
import type { ExecutionContext } from 'ava';
import { assertClosed } from '../harness/capture.ts';
import { openPlace } from '../harness/place.ts';
import { rootTest } from '../harness/root-test.ts';
import { runTool } from '../harness/run-tool.ts';

type Ask = [path: string, ...headers: string[]];

/** Sends with curl from 127.0.0.1, and gives what the processor has on record once the account closes. */
async function recordedAfter(t: ExecutionContext, processorConfig: Record<string, unknown>, asks: Ask[]) {
  const place = await openPlace(t, { processor: processorConfig });
  const processor = await place.startProcessor();
  const agent = await place.openAgent();
  for (const [path, ...headers] of asks) {
    const lines = headers.flatMap((line) => ['-H', line]);
    const url = `http://127.0.0.1:${place.nginx.port}${path}`;
    await runTool('curl', ['-sS', '-o', '/dev/null', '--path-as-is', ...lines, url]);
  }
  assertClosed(t, await agent.ledgerWhen(({ delivered }) => delivered === asks.length));
  const stats = await processor.statsWhen(
    ({ received, pending }) => received === asks.length && pending === 0,
  );
  const { attacks } = (await processor.api('/api/attacks')) as { attacks: object[] };
  const detail = (await processor.api('/api/attacks/1')) as { recorded: object[] };
  return { stats, attacks, recorded: detail.recorded, metrics: (await processor.ops('/metrics')).text };
}

const attack = '/etc/passwd';

rootTest('X-Forwarded-For of a trusted peer names the client of an attack, forged hops do not', async (t) => {
  const realIp = { header: 'X-Forwarded-For', trustedCIDRs: ['127.0.0.0/8'] };
  const { attacks, recorded } = await recordedAfter(t, { realIp }, [
    [attack, 'X-Forwarded-For: 198.51.100.66, 203.0.113.9'],
  ]);
  t.like(attacks[0], { clientAddress: '203.0.113.9', peerAddress: '127.0.0.1', hits: 1 });
  t.like(recorded[0], {
    client: { address: '203.0.113.9', header: 'X-Forwarded-For' },
    connection: { clientAddress: '127.0.0.1' },
  });
});

rootTest('the same header of a peer that is not trusted is not believed', async (t) => {
  const realIp = { header: 'X-Forwarded-For', trustedCIDRs: ['10.0.0.0/8'] };
  const { attacks, recorded } = await recordedAfter(t, { realIp }, [
    [attack, 'X-Forwarded-For: 203.0.113.9'],
  ]);
  t.like(attacks[0], { clientAddress: '127.0.0.1', peerAddress: '127.0.0.1' });
  t.deepEqual((recorded[0] as { client: object }).client, { address: '127.0.0.1' });
});

rootTest('what the connector block excludes is captured, delivered and counted by reason', async (t) => {
  const connector = {
    allowed_hosts: ['*.example'],
    proxy_headers: [{ trusted_networks: ['127.0.0.0/8'], original_host: ['X-Forwarded-Host'] }],
    input_filters: {
      inspect: [{ path: '^/(etc|files)/' }],
      bypass: [{ path: '\\.png$' }],
    },
    route_config: { routes: [{ host: 'off.example', wallarm_mode: 'off' }] },
  };
  const { stats, attacks, recorded, metrics } = await recordedAfter(t, { connector }, [
    [attack, 'Host: inner', 'X-Forwarded-Host: shop.example'],
    [attack, 'Host: inner'],
    ['/etc/passwd.png', 'Host: shop.example'],
    ['/files/../x/etc/passwd', 'Host: shop.example'],
    ['/other/etc/passwd', 'Host: shop.example'],
    [attack, 'Host: off.example'],
  ]);
  t.like(stats, {
    received: 6,
    inspected: 2,
    excluded: { host_not_allowed: 1, bypassed: 1, not_selected: 1, mode_off: 1 },
    dropped: {},
    hits: 2,
  });
  t.is(attacks.length, 2);
  t.like(recorded[0], { host: 'shop.example' });
  t.regex(metrics, /^podmirror_processor_exchanges_excluded_total\{reason="host_not_allowed"\} 1$/m);
});
