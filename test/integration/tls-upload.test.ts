/** Uploads over TLS: what is over the cap stays in the kernel, and the requests behind it are found again. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import type { ExecutionContext } from 'ava';
import { assertClosed, openCapture } from '../harness/capture.ts';
import { headerValue } from '../harness/facts.ts';
import { rootTest } from '../harness/root-test.ts';
import { runTool } from '../harness/run-tool.ts';
import { until } from '../harness/until.ts';
import { untilSeen } from '../tls/attach.ts';
import { openServer } from '../tls/server.ts';
import { nginx, nginxPorts } from '../tls/servers/nginx.ts';
import { python } from '../tls/servers/others.ts';
import { AEADS, type Aead } from '../tls/suites.ts';

const BODY_CAP = 65_536;
const UPLOAD_BYTES = 10 << 20;
const UPLOADS = 5;

/**
 * Of curl, bytes a second: a gigabit network's. How much is copied is how much comes before the agent has looked: it does so
 * every 1 to 10 ms, in which loopback carries megabytes.
 */
const RATE = process.env.PODMIRROR_UPLOAD_RATE ?? '100M';

/** Looks like requests, for whoever loses his place in it. */
const BODY = Buffer.alloc(UPLOAD_BYTES, 'GET /403/ HTTP/1.1\r\nHost: not a request\r\n\r\n0123456789');

async function openUploads(t: ExecutionContext) {
  const ports = await nginxPorts();
  const server = await openServer(t, nginx(ports));
  const { capture, collector } = openCapture(t);
  capture.select({ cgroup: server.cgroup.path, identity: { name: 'upload' } });
  await untilSeen(server.port, () => collector.exchanges.length > 0);
  const file = join(server.folder, 'upload.bin');
  writeFileSync(file, BODY);
  return { ports, server, capture, collector, file };
}

for (const version of ['1.2', '1.3'] as const) {
  for (const aead of Object.keys(AEADS) as Aead[]) {
    rootTest(
      `of 10 MiB uploads over TLS ${version} with ${aead} little is copied, and the requests behind them are right`,
      async (t) => {
        const { ports, server, capture, collector, file } = await openUploads(t);
        const { length } = collector.exchanges;
        const before = capture.ledger();
        server.mark();
        const url = (path: string) => `https://127.0.0.1:${ports.aead[aead]}${path}`;
        // One connection: curl keeps it from one --next to the next.
        const common = [
          '-sSk',
          `--tlsv${version}`,
          '--tls-max',
          version,
          '--limit-rate',
          RATE,
          '-o',
          join(server.folder, 'answer'),
        ];
        const act = (id: string, path: string, ...args: string[]) => [
          ...common,
          '-H',
          `X-Id: ${id}`,
          ...args,
          url(path),
        ];
        const acts = Array.from({ length: UPLOADS }, (_, n) => [
          act(`upload-${n}`, '/upload', '-H', 'Expect:', '--data-binary', `@${file}`),
          act(`behind-${n}`, `/${[200, 201, 403, 404, 503][n % 5]}/`),
          act(`posted-${n}`, '/upload', '--data-binary', `body-${n}`),
        ]).flat();
        await runTool(
          'curl',
          acts.flatMap((args, n) => (n > 0 ? ['--next', ...args] : args)),
        );
        await until(() => collector.exchanges.length >= length + acts.length);
        await collector.finish(300);

        const logged = async () => (await server.accessLog()).filter(({ id }) => !id.startsWith('warm-'));
        await until(async () => (await logged()).length >= acts.length);
        const lines = await logged();
        const seen = collector.exchanges.slice(length);
        t.is(new Set(seen.map(({ connection }) => connection.flowId)).size, 1, 'one connection');
        t.deepEqual(
          seen.map(({ request, response, gap }) => [
            headerValue(request.headers, 'x-id'),
            request.method.toString(),
            request.target.toString(),
            request.bodyLength,
            response?.status,
            gap,
          ]),
          lines.map(({ id, method, target, bodyLength, status }) => [
            id,
            method,
            target,
            bodyLength,
            status,
            false,
          ]),
        );
        for (const { request } of seen) {
          const sent = request.bodyLength === UPLOAD_BYTES ? BODY : request.body;
          t.true(request.body.equals(sent.subarray(0, BODY_CAP)));
          t.is(request.bodyTruncated, request.bodyLength === UPLOAD_BYTES);
        }
        const ledger = capture.ledger();
        const copied = ledger.bytes.copied - before.bytes.copied;
        const passed = (ledger.bytes.elided.request_body ?? 0) - (before.bytes.elided.request_body ?? 0);
        t.log(
          `${Math.round(copied / UPLOADS)} bytes copied and ${Math.round(passed / UPLOADS)} passed by of each upload; ` +
            `${seen.filter(({ pairing }) => pairing === 'ORDER').length} of ${seen.length} by order`,
        );
        t.true(passed > 0.9 * UPLOADS * UPLOAD_BYTES, JSON.stringify(ledger.bytes));
        t.true(copied < UPLOADS * (1 << 20), JSON.stringify(ledger.bytes));
        assertClosed(t, ledger);
      },
    );
  }
}

rootTest('an upload of a client that pads its records is read to its end', async (t) => {
  const { ports, server, capture, collector } = await openUploads(t);
  const { length } = collector.exchanges;
  const head = `POST /upload HTTP/1.1\r\nHost: a\r\nX-Id: padded\r\nContent-Length: ${1 << 20}\r\n\r\n`;
  const next = 'GET /404/ HTTP/1.1\r\nHost: a\r\nX-Id: behind\r\nConnection: close\r\n\r\n';
  const file = join(server.folder, 'session.bin');
  writeFileSync(file, Buffer.concat([Buffer.from(head), BODY.subarray(0, 1 << 20), Buffer.from(next)]));
  const client = `openssl s_client -quiet -tls1_3 -record_padding 512 -connect 127.0.0.1:${ports.aead['AES-128-GCM']}`;
  await runTool('sh', ['-c', `${client} <${file} 2>&1`]);
  await until(() => collector.exchanges.length >= length + 2);
  await collector.finish(300);
  t.deepEqual(
    collector.exchanges
      .slice(length)
      .map(({ request, response, pairing }) => [
        headerValue(request.headers, 'x-id'),
        request.bodyLength,
        response?.status,
        pairing,
      ]),
    [
      ['padded', 1 << 20, 200, 'ORDER'],
      ['behind', 0, 404, 'ORDER'],
    ],
  );
  assertClosed(t, capture.ledger());
});

rootTest(
  'behind an upload that is answered in its middle nothing is told, and its length is the right one',
  async (t) => {
    const server = await openServer(t, python);
    const { capture, collector } = openCapture(t);
    capture.select({ cgroup: server.cgroup.path, identity: { name: 'early' } });
    await untilSeen(server.port, () => collector.exchanges.length > 0);
    const { length } = collector.exchanges;
    const before = capture.ledger();
    const socket = connect({ host: '127.0.0.1', port: server.port, rejectUnauthorized: false });
    t.teardown(() => socket.destroy());
    let received = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
    });
    const answers = () => received.split('HTTP/1.1 ').length - 1;
    const head = (id: string, more = '') => `POST /201/ HTTP/1.1\r\nHost: a\r\nX-Id: ${id}\r\n${more}\r\n`;
    socket.write(head('first', 'Content-Length: 0\r\n'));
    await until(() => answers() === 1);
    socket.write(head('early', `X-Early: ${UPLOAD_BYTES / 2}\r\nContent-Length: ${UPLOAD_BYTES}\r\n`));
    // A gigabit network's rate or less: the agent looks meanwhile.
    for (let at = 0; at < UPLOAD_BYTES; at += 65_536) {
      socket.write(BODY.subarray(at, at + 65_536));
      await sleep(1);
      if (at === 0.75 * UPLOAD_BYTES)
        t.true(await until(() => answers() === 2), 'the answer does not wait for the body');
    }
    for (const [n, id] of ['behind', 'last'].entries()) {
      socket.write(head(id, 'Content-Length: 0\r\n'));
      t.true(await until(() => answers() === 3 + n));
    }
    await collector.finish(300);
    t.deepEqual(
      collector.exchanges
        .slice(length)
        .map(({ request, response }) => [
          headerValue(request.headers, 'x-id'),
          request.bodyLength,
          response?.status,
        ]),
      [
        ['first', 0, 201],
        ['early', UPLOAD_BYTES, 201],
      ],
    );
    const ledger = capture.ledger();
    t.is((ledger.exchanges.dropped.unpaired ?? 0) - (before.exchanges.dropped.unpaired ?? 0), 2);
    const passed = (ledger.bytes.elided.request_body ?? 0) - (before.bytes.elided.request_body ?? 0);
    t.true(passed > 0.75 * UPLOAD_BYTES, JSON.stringify(ledger.bytes));
    assertClosed(t, ledger);
  },
);
