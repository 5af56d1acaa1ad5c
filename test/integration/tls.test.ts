/** nginx over TLS: every exchange right, and none missing against its access log. */
import type { ExecutionContext } from 'ava';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { assertAllRight } from '../tls/all-right.ts';
import { attach } from '../tls/attach.ts';
import type { LoadOptions } from '../tls/load.ts';
import { openServer } from '../tls/server.ts';
import { nginx, nginxPorts } from '../tls/servers/nginx.ts';
import { AEADS, type Aead, type Version } from '../tls/suites.ts';

/** Over all of this file; a million is run by hand, see CONTRIBUTING.md. */
const REQUESTS = Number(process.env.PODMIRROR_TLS_REQUESTS ?? 120_000);

interface Shape extends Partial<LoadOptions> {
  title: string;
  /** Of `REQUESTS`, for each version and AEAD: handshakes cost a hundred times what a request does. */
  share: number;
}

const SHAPES: Shape[] = [
  { title: 'on 64 keep-alive connections', share: 0.1, connections: 64, per: 100_000 },
  { title: 'on short connections', share: 0.02, connections: 32, per: 1 },
  { title: 'on resumed sessions', share: 0.02, connections: 32, per: 3, resume: true },
];

const AEAD_NAMES = Object.keys(AEADS) as Aead[];
const VERSIONS: Version[] = ['1.2', '1.3'];
const RATE = Number(process.env.PODMIRROR_TLS_RATE ?? 6000);

async function nginxUnderLoad(t: ExecutionContext) {
  t.timeout(600_000 + REQUESTS);
  const ports = await nginxPorts();
  const server = await openServer(t, nginx(ports));
  return { ports, server };
}

for (const { title, share, ...shape } of SHAPES) {
  rootTest(
    `nginx ${title}, TLS 1.2 and 1.3, three AEADs: all exchanges are right and none is missing`,
    async (t) => {
      const { ports, server } = await nginxUnderLoad(t);
      const attached = await attach(t, server);
      for (const version of VERSIONS) {
        for (const aead of AEAD_NAMES) {
          const requests = Math.ceil(REQUESTS * share);
          const per = Math.min(shape.per ?? 1, Math.ceil(requests / (shape.connections ?? 1)));
          const prefix = `${version}-${aead}`;
          const load = {
            ...shape,
            per,
            requests,
            version,
            prefix,
            port: ports.aead[aead],
            rate: RATE,
            slow: 40,
          };
          const { lines } = await assertAllRight(t, attached, server, load);
          t.true(
            lines.every((line) => line.version === `TLSv${version}`),
            'the server speaks the version that is tested',
          );
          const resumed = lines.filter((line) => line.resumed).length;
          t.is(
            resumed > 0,
            shape.resume === true,
            `${resumed} of ${lines.length} requests on resumed sessions`,
          );
        }
      }
    },
  );
}

const HABITS: { title: string; port: 'retry' | 'padding' | 'fragments'; load?: Partial<LoadOptions> }[] = [
  { title: 'asks for another group first (HelloRetryRequest)', port: 'retry' },
  { title: 'pads its records', port: 'padding' },
  { title: 'sends small records', port: 'fragments' },
  { title: 'gets segments of 100 bytes', port: 'fragments', load: { segment: 100 } },
  { title: 'gets close_notify with the last request', port: 'fragments', load: { halfClose: true, per: 3 } },
];

for (const { title, port, load = {} } of HABITS) {
  rootTest(`nginx that ${title}: all exchanges are right and none is missing`, async (t) => {
    const { ports, server } = await nginxUnderLoad(t);
    const attached = await attach(t, server);
    for (const version of VERSIONS) {
      const requests = Math.ceil(REQUESTS / 100);
      const prefix = `${port}-${version}`;
      await assertAllRight(t, attached, server, {
        requests,
        version,
        prefix,
        port: ports[port],
        connections: 8,
        per: 30,
        ...load,
      });
    }
  });
}

rootTest(
  'nginx that is reloaded three times in the middle: all exchanges are right and none is missing',
  async (t) => {
    const { ports, server } = await nginxUnderLoad(t);
    const attached = await attach(t, server);
    for (const version of VERSIONS) {
      const prefix = `reload-${version}`;
      const requests = Math.ceil(REQUESTS / 20);
      const port = ports.aead['AES-256-GCM'];
      await assertAllRight(
        t,
        attached,
        server,
        { requests, version, prefix, port, connections: 32, per: 50, rate: 3000 },
        async () => {
          for (const part of [1, 2, 3]) {
            await until(() => attached.account.count() > (requests * part) / 4, { timeoutMs: 60_000 });
            process.kill(server.pid, 'SIGHUP');
          }
        },
      );
    }
  },
);

rootTest(
  'the harness itself: nginx over plaintext, all exchanges are right and none is missing',
  async (t) => {
    const { ports, server } = await nginxUnderLoad(t);
    const attached = await attach(t, server, { port: ports.plaintext, version: 'none' });
    const load = {
      requests: 10_000,
      connections: 64,
      per: 50,
      version: 'none',
      prefix: 'plain',
      port: ports.plaintext,
    } as const;
    await assertAllRight(t, attached, server, load);
  },
);
