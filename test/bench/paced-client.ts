/**
 * `node paced-client.ts <port> <requests per second> <seconds>`: keep-alive GETs at a fixed rate, for wrk cannot
 * hold one back. Ends with one line of JSON: what was sent, answered, and how long it took.
 */
import { connect, type Socket } from 'node:net';

const TICK_MS = 5;
const CONNECTIONS = 100;
const REQUEST = Buffer.from(
  'GET /1k.txt HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: podmirror-bench\r\nAccept: */*\r\n\r\n',
);

const [port = 0, rate = 0, seconds = 0] = process.argv.slice(2).map(Number);

let received = 0;
const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, open));

// All responses are equal but for the date, so bytes tell how many there were.
const responseBytes = await measureOne(sockets[0]);
received = 0;

let sent = 0;
let next = 0;
const begin = performance.now();
await new Promise<void>((resolve) => {
  const timer = setInterval(() => {
    const elapsed = performance.now() - begin;
    const due = Math.floor((Math.min(elapsed, seconds * 1000) * rate) / 1000);
    for (; sent < due; sent++) sockets[next++ % CONNECTIONS]?.write(REQUEST);
    if (elapsed >= seconds * 1000) {
      clearInterval(timer);
      resolve();
    }
  }, TICK_MS);
});
const deadline = performance.now() + 5000;
while (received < sent * responseBytes && performance.now() < deadline) {
  await new Promise((resolve) => setTimeout(resolve, 2));
}
const elapsedMs = performance.now() - begin;
for (const socket of sockets) socket.destroy();
// The one that was measured is in the log and among the exchanges too.
process.stdout.write(
  `${JSON.stringify({ sent: sent + 1, answered: received / responseBytes + 1, elapsedMs })}\n`,
);

function open(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.once('connect', () => resolve(socket)).once('error', reject);
    socket.on('data', (bytes) => {
      received += bytes.length;
    });
  });
}

async function measureOne(socket: Socket | undefined): Promise<number> {
  socket?.write(REQUEST);
  await new Promise((resolve) => setTimeout(resolve, 200));
  return received;
}
