/** Large bodies over TLS: bulk ciphertext stays in the kernel, and what is wanted of an upload comes whole. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assertClosed, openCapture } from '../harness/capture.ts';
import { rootTest } from '../harness/root-test.ts';
import { runTool } from '../harness/run-tool.ts';
import { until } from '../harness/until.ts';
import { untilSeen } from '../tls/attach.ts';
import { openServer } from '../tls/server.ts';
import { nginx, nginxPorts } from '../tls/servers/nginx.ts';

const BODY_CAP = 65_536;
const VERSIONS = ['1.2', '1.3'] as const;

for (const version of VERSIONS) {
  const curl = (url: string, ...args: string[]) =>
    runTool('curl', ['-sSk', '-o', '/dev/null', `--tlsv${version}`, '--tls-max', version, ...args, url]);

  rootTest(`of a 10 MiB download over TLS ${version} a small part is copied`, async (t) => {
    const ports = await nginxPorts();
    const server = await openServer(t, nginx(ports));
    const { capture, collector } = openCapture(t);
    capture.select({ cgroup: server.cgroup.path, identity: { name: 'download' } });
    await untilSeen(server.port, () => collector.exchanges.length > 0);

    const before = { bytes: capture.ledger().bytes.copied, exchanges: collector.exchanges.length };
    await curl(`https://127.0.0.1:${server.port}/10m.bin`);
    await until(() => collector.exchanges.length > before.exchanges);
    const [exchange] = collector.exchanges.slice(before.exchanges);
    t.is(exchange?.request.target.toString(), '/10m.bin');
    t.is(exchange?.response?.status, 200);
    t.is(exchange?.response?.contentLength, 10 << 20);
    await collector.finish(300);
    const copied = capture.ledger().bytes.copied - before.bytes;
    t.log(`${copied} bytes copied of ${10 << 20}`);
    t.true(copied < (10 << 20) / 50, `${copied} bytes copied; ${JSON.stringify(capture.ledger())}`);
    assertClosed(t, capture.ledger());
  });

  rootTest(`a 3 MB upload over TLS ${version} has its true length and its body up to the cap`, async (t) => {
    const ports = await nginxPorts();
    const server = await openServer(t, nginx(ports));
    const { capture, collector } = openCapture(t);
    capture.select({ cgroup: server.cgroup.path, identity: { name: 'upload' } });
    await untilSeen(server.port, () => collector.exchanges.length > 0);

    const body = Buffer.alloc(3_000_000, 'GET / HTTP/1.1\r\nHost: not a request\r\n\r\n0123456789');
    const file = join(server.folder, 'upload.bin');
    writeFileSync(file, body);
    const url = `https://127.0.0.1:${server.port}/upload`;
    const { length } = collector.exchanges;
    const upload = ['-H', 'Expect:', '--data-binary', `@${file}`];
    // The second on the same connection: the place behind the first body is exact.
    await curl(url, url, '-o', '/dev/null', ...upload);
    await until(() => collector.exchanges.length === length + 2);
    const uploads = collector.exchanges.slice(length);
    t.deepEqual(
      uploads.map(({ request, response }) => [
        request.target.toString(),
        request.bodyLength,
        request.bodyTruncated,
        response?.status,
      ]),
      [1, 2].map(() => ['/upload', body.length, true, 200]),
    );
    t.true(uploads.every(({ request }) => request.body.equals(body.subarray(0, BODY_CAP))));
    await collector.finish(300);
    t.log(`${capture.ledger().bytes.copied} bytes copied of ${2 * body.length}`);
    assertClosed(t, capture.ledger());
  });
}
