/** A wire between agent and processor that can be cut at a chosen moment. */
import { connect, createServer, type Socket } from 'node:net';

export interface Proxy {
  port: number;
  /** From now on answers do not come through; requests do. */
  holdAnswers(): void;
  /** Nothing comes any more on the connections that there are; they stay open, and new ones work. */
  silence(): void;
  /** Ends every connection; new ones work again. */
  cut(): void;
  close(): void;
}

export async function startProxy(targetPort: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let holding = false;
  let silenced = new WeakSet<Socket>();
  const server = createServer((client) => {
    const upstream = connect(targetPort, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
    }
    client.on('close', () => upstream.destroy()).pipe(upstream);
    upstream.on('close', () => client.destroy());
    upstream.on('data', (bytes) => {
      if (!holding && !silenced.has(client)) client.write(bytes);
    });
  });
  const cut = () => {
    holding = false;
    for (const socket of sockets) socket.destroy();
  };
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('start proxy: no port');
  return {
    port: address.port,
    holdAnswers: () => {
      holding = true;
    },
    silence: () => {
      silenced = new WeakSet(sockets);
    },
    cut,
    close() {
      cut();
      server.close();
    },
  };
}
