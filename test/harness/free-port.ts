import { createServer } from 'node:net';

/** A TCP port that was free on all addresses a moment ago; nginx cannot pick one itself and tell. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('free port: the listener has no port');
  return address.port;
}
