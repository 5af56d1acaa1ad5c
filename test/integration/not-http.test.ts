/** Protocols that are not HTTP/1 make no exchange, and are accounted for. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { assertClosed, openCapture, openCgroup } from '../harness/capture.ts';
import type { Cgroup } from '../harness/cgroup.ts';
import { freePort } from '../harness/free-port.ts';
import { rootTest } from '../harness/root-test.ts';

const ECHO = `
  require('node:net').createServer((socket) => {
    socket.write(process.argv[2] ?? '');
    socket.pipe(socket);
  }).listen(Number(process.argv[1]), '127.0.0.1', () => console.log('listening'));
`;

async function startEcho(cgroup: Cgroup, banner = ''): Promise<number> {
  const port = await freePort();
  const server = cgroup.spawn(process.execPath, ['-e', ECHO, String(port), banner], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (server.stdout) await once(server.stdout, 'data');
  return port;
}

async function exchangeBytes(port: number, parts: readonly Buffer[], banner: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let missing = banner + parts.reduce((sum, { length }) => sum + length, 0);
  for (const part of parts) socket.write(part);
  while (missing > 0) {
    const [bytes] = await once(socket, 'data');
    missing -= bytes.length;
  }
  socket.destroy();
  await once(socket, 'close');
}

const PROTOCOLS: [name: string, banner: string, parts: Buffer[]][] = [
  ['binary noise', '', [Buffer.from([0, 1, 2, 3, 255, 254]), Buffer.alloc(5000, 7)]],
  ['a Redis command', '', [Buffer.from('*1\r\n$4\r\nPING\r\n'), Buffer.from('*1\r\n$4\r\nPING\r\n')]],
  [
    'a server that speaks first',
    '220 mail.example ESMTP\r\n',
    [Buffer.from('EHLO me\r\n'), Buffer.from('QUIT\r\n')],
  ],
  [
    'words that begin like a method',
    '',
    [Buffer.from('GETTING nowhere\r\n'), Buffer.from('POSTAL code\r\n\r\n')],
  ],
];

for (const [name, banner, parts] of PROTOCOLS) {
  rootTest(`${name} makes no exchange and is on the ledger as not_http`, async (t) => {
    const cgroup = openCgroup(t);
    const port = await startEcho(cgroup, banner);
    const { capture, collector } = openCapture(t);
    capture.select({ cgroup: cgroup.path, identity: { name: 'echo' } });
    await exchangeBytes(port, parts, banner.length);

    t.deepEqual(await collector.finish(300), []);
    const { bytes, exchanges } = capture.ledger();
    t.is(exchanges.captured, 0);
    const notHttp = (bytes.elided.not_http ?? 0) + (bytes.discarded.not_http ?? 0);
    t.true(notHttp > 0, JSON.stringify(bytes));
    assertClosed(t, capture.ledger());
  });
}
