// What the agent tells about itself over HTTP: health on one port; metrics, ledger and coverage on the other.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Page {
  status: number;
  type: string;
  body: string;
}

export type Pages = Record<string, () => Page | Promise<Page>>;

/** `/live`: the event loop turns. `/ready`: nothing is in the way; otherwise 503 and the sentences that say what. */
export function healthPages(inTheWay: () => string[]): Pages {
  return {
    '/live': () => json(200, { live: true }),
    '/ready': () => {
      const reasons = inTheWay();
      return json(reasons.length === 0 ? 200 : 503, { ready: reasons.length === 0, reasons });
    },
  };
}

export function opsPages({
  metrics,
  ledger,
  coverage,
}: {
  metrics: { metrics(): Promise<string>; contentType: string };
  ledger: () => object;
  coverage: () => object;
}): Pages {
  return {
    '/metrics': async () => ({ status: 200, type: metrics.contentType, body: await metrics.metrics() }),
    '/ledger': () => json(200, ledger()),
    '/coverage': () => json(200, coverage()),
  };
}

function json(status: number, value: object): Page {
  return { status, type: 'application/json', body: `${JSON.stringify(value, undefined, 2)}\n` };
}

/** The answer to one request: pure but for the page itself. */
export async function answer(
  pages: Pages,
  method: string | undefined,
  url: string | undefined,
): Promise<Page> {
  if (method !== 'GET' && method !== 'HEAD') return json(405, { error: 'only GET' });
  const page = Object.entries(pages).find(([path]) => path === url?.split('?')[0])?.[1];
  if (!page) return json(404, { error: 'no such page', pages: Object.keys(pages) });
  try {
    return await page();
  } catch (error) {
    return json(500, { error: (error as Error).message });
  }
}

/** Listens on `host:port`. Rejects with `listen on <address>: <cause>. <what to do>`. */
export async function serve(
  pages: Pages,
  address: string,
  key: string,
): Promise<{ port: number; close(): void }> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const server = createServer({ requestTimeout: 10_000, maxHeaderSize: 8192 }, (request, response) => {
    request.resume();
    void answer(pages, request.method, request.url).then(({ status, type, body }) => {
      response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
      response.end(request.method === 'HEAD' ? undefined : body);
    });
  });
  // These are for a probe and a scraper; a crowd is a mistake.
  server.maxConnections = 64;
  await listen(server, Number(address.slice(colon + 1)), host).catch((cause: NodeJS.ErrnoException) => {
    const why = listenRemedies[cause.code ?? ''] ?? cause.message;
    throw Object.assign(new Error(`listen on ${address}: ${why}. Write another ${key}`, { cause }), {
      code: cause.code,
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const listenRemedies: Record<string, string> = {
  EADDRINUSE: 'the port is in use, perhaps by another agent',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'permission denied',
  ENOTFOUND: 'no such host',
};

function listen(server: Server, port: number, host: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(port, host, () => {
    server.off('error', reject);
    resolve();
  });
  return promise;
}
