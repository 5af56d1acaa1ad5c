import { createServer } from 'node:http';

export interface Upstream {
  close(): Promise<void>;
}

/** Answers 101 on a unix socket and echoes what follows, as a WebSocket server would look from outside. */
export async function startUpgradeUpstream(socketPath: string): Promise<Upstream> {
  const server = createServer((_request, response) => response.writeHead(426).end());
  server.on('upgrade', (_request, socket, head) => {
    socket.on('error', () => socket.destroy());
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n');
    socket.write(head);
    socket.pipe(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
