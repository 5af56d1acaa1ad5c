/** A server whose TLS library is handed its bytes: calls cannot tell whose they are, whatever the application reads meanwhile. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assertClosed, openCapture, openCgroup } from '../harness/capture.ts';
import { freePort } from '../harness/free-port.ts';
import { rootTest } from '../harness/root-test.ts';
import { runTool } from '../harness/run-tool.ts';
import { until } from '../harness/until.ts';
import { makeCertificate } from '../tls/certificate.ts';

/** In its handshakes it asks a store, on a connection that it has had from its start. */
const SERVER = `
import socket, ssl, sys
certificate, key, port, store = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
peer = socket.create_connection(('127.0.0.1', store))
def ask(*_):
    peer.sendall(b'ask\\n')
    peer.recv(100)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.sni_callback = ask
listener = socket.create_server(('127.0.0.1', port))
while True:
    client, _ = listener.accept()
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(inward, outward, server_side=True)
    def step(call):
        while True:
            try:
                result = call()
                client.sendall(outward.read())
                return result
            except ssl.SSLWantReadError:
                client.sendall(outward.read())
                inward.write(client.recv(65536))
    step(tls.do_handshake)
    step(lambda: tls.read(65536))
    step(lambda: tls.write(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok'))
    client.close()
`;

rootTest(
  'a connection that a callback reads within a handshake is not taken for that of the handshake',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'podmirror-test-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const { certificate, key } = makeCertificate(folder);
    let asked = 0;
    const store = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => {
        asked += 1;
        socket.write('answer\n');
      });
    }).listen(0, '127.0.0.1');
    t.teardown(() => void store.close());
    await once(store, 'listening');
    const connected = once(store, 'connection');
    const cgroup = openCgroup(t);
    const [port, storePort] = [await freePort(), (store.address() as AddressInfo).port];
    const args = ['-c', SERVER, certificate, key, String(port), String(storePort)];
    const server = cgroup.spawn('/usr/bin/python3', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    t.teardown(() => void server.kill('SIGKILL'));
    await connected;

    const { capture, collector } = openCapture(t, { tlsMode: 'calls' });
    capture.select({ cgroup: cgroup.path, identity: { name: 'memory' } });
    t.truthy(await until(() => capture.coverage().targets[0]?.tls.calls.length), 'probes stand');
    const url = `https://shop.example:${port}/`;
    for (let request = 0; request < 5; request++) {
      t.is(await runTool('curl', ['-sSk', '--resolve', `shop.example:${port}:127.0.0.1`, url]), 'ok');
    }
    await collector.finish(300);
    const ledger = capture.ledger();
    t.is(asked, 5);
    t.true((ledger.bytes.lost.call_unbound ?? 0) > 0, `its calls are seen: ${JSON.stringify(ledger)}`);
    t.deepEqual(
      collector.exchanges.map(({ connection }) => connection),
      [],
      'nothing is delivered as of another connection',
    );
    assertClosed(t, ledger);
  },
);
