/** GETs at a fixed rate over many connections, for wrk cannot hold one back. */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';

const TICK_MS = 5;
const CONNECTIONS = 100;
const ANSWERS_WITHIN_MS = 5000;
const FIRST_ANSWER_MS = 100;

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

export interface PacedLoadOptions {
  host?: string;
  port: number;
  /** Requests per second. */
  rate: number;
  path?: string;
  /** TLS, without a look at the certificate, and without resumption. */
  tls?: boolean;
  /** A connection for each request. */
  newConnections?: boolean;
}

/** Connects, and asks once: all responses are equal but for the date, so bytes tell how many there were. */
export async function openPacedLoad({
  host = '127.0.0.1',
  port,
  rate,
  path = '/1k.txt',
  tls = false,
  newConnections = false,
}: PacedLoadOptions): Promise<PacedLoad> {
  const request = Buffer.from(
    `GET ${path} HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: podmirror-bench\r\nAccept: */*\r\n${
      newConnections ? 'Connection: close\r\n' : ''
    }\r\n`,
  );
  let received = 0;
  let failure: Error | null = null;
  const connected = tls ? 'secureConnect' : 'connect';
  const begin = () => {
    const socket = tls ? connectTls({ port, host, rejectUnauthorized: false }) : connect({ port, host });
    return socket
      .setNoDelay(true)
      .on('data', (bytes) => {
        received += bytes.length;
      })
      .on('error', (error) => {
        failure = error;
      });
  };
  const open = () =>
    new Promise<Socket>((resolve, reject) => {
      const socket = begin();
      socket.once(connected, () => resolve(socket)).once('error', reject);
    });
  const sockets = newConnections ? [] : await Promise.all(Array.from({ length: CONNECTIONS }, open));
  let next = 0;
  const ask = () => {
    if (!newConnections) return sockets[next++ % CONNECTIONS]?.write(request);
    // What comes with the end of the handshake is in the library before it is asked for, and calls cannot tell then whose
    // it is: not at once.
    const socket = begin();
    return socket.once(connected, () => setTimeout(() => socket.write(request), 1));
  };
  ask();
  await sleep(FIRST_ANSWER_MS);
  const responseBytes = received;

  const sendDue = (seconds: number, start: number) =>
    new Promise<number>((resolve) => {
      let sent = 0;
      const timer = setInterval(() => {
        const elapsed = performance.now() - start;
        const due = Math.floor((Math.min(elapsed, seconds * 1000) * rate) / 1000);
        for (; sent < due; sent++) ask();
        if (elapsed < seconds * 1000) return;
        clearInterval(timer);
        resolve(sent);
      }, TICK_MS);
    });

  return {
    async send(seconds) {
      received = 0;
      const start = performance.now();
      const sent = await sendDue(seconds, start);
      const deadline = performance.now() + ANSWERS_WITHIN_MS;
      while (received < sent * responseBytes && performance.now() < deadline) await sleep(1);
      if (failure) throw failure;
      return { sent, answered: received / responseBytes, elapsedMs: performance.now() - start };
    },
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
