import { createServer } from 'node:net';

/** Of this process: the system gives a port again as soon as it is free, be it meant for somebody by then or not. */
const given = new Set<number>();

/** A TCP port that was free on all addresses a moment ago, another one each time; nginx cannot pick one itself and tell. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('free port: the listener has no port');
  if (given.has(address.port)) return freePort();
  given.add(address.port);
  return address.port;
}
