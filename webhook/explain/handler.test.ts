import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import express from 'express';
import type { ExplainView } from './explanation.ts';
import { deployment, viewOf } from './fake/view.ts';
import { createExplain } from './handler.ts';
import type { isInside } from './peer.ts';

const pods = [{ namespace: 'shop', name: 'web-7d4b-x7k2p', ...deployment('web'), nodeName: 'node-1' }];
const shop = viewOf({ namespaces: { shop: 'enabled' }, pods });

async function serve(t: ExecutionContext, view: ExplainView = shop, host = '127.0.0.1') {
  const app = express();
  app.get('/explain', createExplain(view));
  const server = createServer(app).listen(0, host);
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return (query: string, headers: Record<string, string> = {}, init: RequestInit = {}) =>
    fetch(`http://127.0.0.1:${port}/explain${query}`, { headers, ...init });
}

test('a pod is explained as JSON', async (t) => {
  const get = await serve(t);
  const response = await get('?pod=shop/web-7d4b-x7k2p');
  t.is(response.status, 200);
  t.is(response.headers.get('content-type'), 'application/json; charset=utf-8');
  t.is(response.headers.get('cache-control'), 'no-store');
  const body = (await response.json()) as { kind: string; agent: { attaches: string[] } };
  t.is(body.kind, 'pod');
  t.deepEqual(body.agent.attaches, ['web']);
});

test('a namespace is explained as text for who asks for it', async (t) => {
  const get = await serve(t);
  const response = await get('?namespace=shop', { accept: 'text/plain' });
  t.is(response.headers.get('content-type'), 'text/plain; charset=utf-8');
  t.regex(await response.text(), /^namespace shop is labelled wallarm-mirror=enabled: /);
});

test('of both types, the first that is named is answered', async (t) => {
  const get = await serve(t);
  const typeOf = async (accept: string) =>
    (await get('?namespace=shop', { accept })).headers.get('content-type')?.split(';')[0];
  t.is(await typeOf('text/html, text/plain;q=0.5, */*'), 'text/plain');
  t.is(await typeOf('application/json, text/plain'), 'application/json');
  t.is(await typeOf('*/*'), 'application/json');
});

test('HEAD is answered without a body', async (t) => {
  const get = await serve(t);
  const response = await get('?namespace=shop', {}, { method: 'HEAD' });
  t.is(response.status, 200);
  t.is(await response.text(), '');
});

const refused: [query: string, status: number, error: RegExp][] = [
  ['', 400, /^neither a pod nor a namespace is named\. Write /],
  ['?pod=web', 400, /names no namespace/],
  ['?pod=shop/wbe-7d4b-x7k2p', 404, /\. Did you mean shop\/web-7d4b-x7k2p\?$/],
  ['?namespace=shp', 404, /\. Did you mean shop\?$/],
];

for (const [query, status, error] of refused) {
  test(`/explain${query} is answered ${status}`, async (t) => {
    const get = await serve(t);
    const response = await get(query);
    t.is(response.status, status);
    t.regex(((await response.json()) as { error: string }).error, error);
    const text = await (await get(query, { accept: 'text/plain' })).text();
    t.regex(text.trim().replaceAll('\n', ' '), error);
  });
}

test('what is not known while the first lists are read may be there: 503', async (t) => {
  const get = await serve(t, viewOf({ pods, synced: false }));
  const response = await get('?pod=shop/other');
  t.is(response.status, 503);
  t.regex(((await response.json()) as { error: string }).error, /not everything was read yet/);
  t.is((await get('?pod=shop/web-7d4b-x7k2p')).status, 200);
});

type Ends = Parameters<typeof isInside>[0];

/** As node:http would call it, from anywhere. */
function ask(
  ends: Ends,
  method = 'GET',
  host: string | undefined = 'localhost:9090',
): { status: number; body: string } {
  const answer = { status: 0, body: '' };
  const response = {
    writeHead(status: number) {
      answer.status = status;
    },
    end(body: string) {
      answer.body = body;
    },
  };
  const request = { method, url: '/explain?namespace=shop', headers: { host }, socket: ends };
  createExplain(shop)(request as unknown as IncomingMessage, response as unknown as ServerResponse);
  return answer;
}

const peers: [remoteAddress: string | undefined, localAddress: string | undefined, status: number][] = [
  ['127.0.0.1', '127.0.0.1', 200],
  ['127.8.9.1', '127.0.0.1', 200],
  ['::1', '::1', 200],
  ['::ffff:127.0.0.1', '::ffff:127.0.0.1', 200],
  ['10.0.0.7', '10.0.0.7', 200],
  ['::ffff:10.0.0.7', '10.0.0.7', 200],
  ['10.0.0.8', '10.0.0.7', 403],
  ['::ffff:10.0.0.8', '::ffff:10.0.0.7', 403],
  ['fd00::8', 'fd00::7', 403],
  ['::2', '::1', 403],
  ['127.evil', '10.0.0.7', 403],
  ['10.0.0.8', undefined, 403],
  [undefined, undefined, 403],
];

for (const [remoteAddress, localAddress, status] of peers) {
  test(`a peer ${remoteAddress} at our ${localAddress} is answered ${status}`, (t) => {
    const answer = ask({ remoteAddress, localAddress });
    t.is(answer.status, status);
    t.is(answer.body.includes('labelled'), status === 200);
  });
}

const hosts: [host: string, status: number][] = [
  ['localhost', 200],
  ['LOCALHOST:9090', 200],
  ['127.0.0.1:9090', 200],
  ['[::1]:9090', 200],
  ['10.0.0.7:9090', 200],
  ['evil.example:9090', 403],
  ['127.0.0.1.evil.example', 403],
  ['localhost.evil.example:9090', 403],
  ['10.0.0.8:9090', 403],
  ['[localhost]', 403],
  ['localhost@evil.example', 403],
  ['', 403],
];

for (const [host, status] of hosts) {
  test(`a request from inside for the host ${host || 'of no name'} is answered ${status}`, (t) => {
    const ends = { remoteAddress: '127.0.0.1', localAddress: '10.0.0.7' };
    t.is(ask(ends, 'GET', host).status, status);
  });
}

test('who asks from outside is told what to do instead, and nothing about pods', (t) => {
  const { body } = ask({ remoteAddress: '10.0.0.8', localAddress: '10.0.0.7' });
  t.is(
    JSON.parse(body).error,
    'explain tells about pods, so it answers only from inside this pod. Use: kubectl -n podmirror port-forward deploy/podmirror-webhook 9090, or podmirror explain',
  );
});

test('other methods are told to use GET', (t) => {
  t.is(ask({ remoteAddress: '::1', localAddress: '::1' }, 'DELETE').status, 405);
});
