/** The first request that a pod gets: sent as soon as its port takes a connection. */
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { Cluster } from '../cluster/cluster.ts';

/** Addresses that pods have, from the moment on that the network plugin gives them: long before their status tells. */
export const addressesInUse = ({ instance }: Cluster): string[] =>
  readdirSync(join(instance.directory, 'node/var/lib/cni/networks/pods')).filter((name) => /^\d/.test(name));

/** Tries until somebody listens, and sends this at once. Resolves to the answer's first line. */
export async function firstRequest(
  address: string,
  port: number,
  target: string,
  over: 'plaintext' | 'tls' = 'plaintext',
): Promise<string> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const answer = await attempt(address, port, target, over);
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error(`nobody listens at ${address}:${port}`);
    await sleep(1);
  }
}

/** undefined: nobody listens yet. */
function attempt(
  address: string,
  port: number,
  target: string,
  over: 'plaintext' | 'tls',
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    let answer = '';
    let isConnected = false;
    const ask = () => {
      isConnected = true;
      socket.write(`GET ${target} HTTP/1.1\r\nHost: ${address}\r\nConnection: close\r\n\r\n`);
    };
    // Its certificate is nobody's business here.
    const socket: Socket =
      over === 'tls'
        ? connectTls({ host: address, port, rejectUnauthorized: false }, ask)
        : connect(port, address, ask);
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    socket.once('error', (error) => (isConnected ? reject(error) : resolve(undefined)));
    socket.once('end', () => resolve(answer.split('\r\n', 1)[0]));
    // A packet that found no route is sent again after a second: too late to be the first.
    socket.setTimeout(200, () => {
      if (isConnected) return;
      socket.destroy();
      resolve(undefined);
    });
  });
}
