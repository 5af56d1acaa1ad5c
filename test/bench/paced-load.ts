/** Keep-alive GETs at a fixed rate over many connections, for wrk cannot hold one back. */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const TICK_MS = 5;
const CONNECTIONS = 100;
const ANSWERS_WITHIN_MS = 5000;
const REQUEST = Buffer.from(
  'GET /1k.txt HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: podmirror-bench\r\nAccept: */*\r\n\r\n',
);

export interface Sent {
  sent: number;
  answered: number;
  elapsedMs: number;
}

export interface PacedLoad {
  /** Resolves when everything that was sent is answered, or has not been for five seconds. */
  send(seconds: number): Promise<Sent>;
  close(): void;
}

/** Connects, and asks once: all responses are equal but for the date, so bytes tell how many there were. */
export async function openPacedLoad({
  host = '127.0.0.1',
  port,
  rate,
}: {
  host?: string;
  port: number;
  rate: number;
}): Promise<PacedLoad> {
  let received = 0;
  const open = () =>
    new Promise<Socket>((resolve, reject) => {
      const socket = connect({ port, host, noDelay: true });
      socket.once('connect', () => resolve(socket)).once('error', reject);
      socket.on('data', (bytes) => {
        received += bytes.length;
      });
    });
  const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, open));
  sockets[0]?.write(REQUEST);
  await sleep(50);
  const responseBytes = received;
  let next = 0;

  const sendDue = (seconds: number, begin: number) =>
    new Promise<number>((resolve) => {
      let sent = 0;
      const timer = setInterval(() => {
        const elapsed = performance.now() - begin;
        const due = Math.floor((Math.min(elapsed, seconds * 1000) * rate) / 1000);
        for (; sent < due; sent++) sockets[next++ % CONNECTIONS]?.write(REQUEST);
        if (elapsed < seconds * 1000) return;
        clearInterval(timer);
        resolve(sent);
      }, TICK_MS);
    });

  return {
    async send(seconds) {
      received = 0;
      const begin = performance.now();
      const sent = await sendDue(seconds, begin);
      const deadline = performance.now() + ANSWERS_WITHIN_MS;
      while (received < sent * responseBytes && performance.now() < deadline) await sleep(1);
      return { sent, answered: received / responseBytes, elapsedMs: performance.now() - begin };
    },
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
