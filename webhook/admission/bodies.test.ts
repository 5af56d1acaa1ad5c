import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import express from 'express';
import { until } from '../cluster/fake/until.ts';
import {
  type BodyLimits,
  maxBlocks,
  maxBodyBytes,
  maxHeldBytes,
  maxLargeWaiting,
  maxSmallBytes,
  readBody,
} from './bodies.ts';
import { answerErrors } from './refusal.ts';

/** A server that answers with the number of bytes of the text `x` in the body. */
async function serve(t: ExecutionContext, limits?: BodyLimits) {
  const answered: string[] = [];
  const app = express().post('/', ...readBody(limits), ({ body, headers }, response) => {
    answered.push(String(headers['x-name']));
    response.send(`${body.x.length}`);
  });
  app.use(answerErrors((error) => t.fail(error.stack)));
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const sockets = new Map<number | undefined, Socket>();
  server.on('connection', (socket) => sockets.set(socket.remotePort, socket));

  /** Announces `bytes` of a body, or nothing when `chunked`, and sends as many of them as it is told. */
  const begin = (bytes: number, { name = '', chunked = false } = {}) => {
    const outgoing = request({
      port,
      host: '127.0.0.1',
      method: 'POST',
      agent: false,
      headers: {
        'content-type': 'application/json',
        'x-name': name,
        ...(!chunked && { 'content-length': bytes }),
      },
    });
    const frame = JSON.stringify({ x: '' });
    const text = frame.replace('""', `"${'x'.repeat(bytes - frame.length)}"`);
    let sent = 0;
    const send = (upTo: number) =>
      new Promise((resolve) => {
        const part = text.slice(sent, upTo);
        sent = upTo;
        outgoing.write(part, resolve);
      });
    /** What was sent has been read by the server, so that nothing sent later is read together with it. */
    const arrived = () => until(() => (sockets.get(outgoing.socket?.localPort)?.bytesRead ?? 0) >= sent);
    let statusCode: number | undefined;
    const status = new Promise<number | undefined>((resolve) => {
      outgoing.on('response', (incoming) => {
        statusCode = incoming.statusCode;
        incoming.resume();
        resolve(statusCode);
      });
      outgoing.on('error', () => resolve(statusCode));
    });
    return {
      send,
      arrived,
      status,
      refused: () => statusCode === 503,
      async end() {
        await send(bytes);
        outgoing.end();
        return status;
      },
      abort: () => outgoing.destroy(),
    };
  };
  const post = async (body: string) => {
    const headers = { 'content-type': 'application/json' };
    return (await fetch(`http://127.0.0.1:${port}`, { method: 'POST', headers, body })).status;
  };
  return { begin, post, answered };
}

const large = maxSmallBytes * 2;

test('a body that is announced and does not come takes no room', async (t) => {
  const { begin } = await serve(t);
  const idle = Array.from({ length: 30 }, () => begin(maxBodyBytes));
  for (const { send } of idle) await send(1);
  t.is(await begin(maxBodyBytes).end(), 200);
  t.is(await begin(100).end(), 200);
});

test('a body of more blocks than fit into memory is not parsed', async (t) => {
  const { post } = await serve(t);
  const blocks = (count: number) => `{"x":[${Array(count).fill('{}').join()}]}`;
  t.is(await post(blocks(maxBlocks - 2)), 200);
  t.is(await post(blocks(maxBlocks)), 413);
});

test('without Content-Length the limit is the same', async (t) => {
  // A busy machine may take seconds to carry 7 MiB.
  const { begin } = await serve(t, { largeMs: 60_000 });
  t.is(await begin(maxBodyBytes, { chunked: true }).end(), 200);
  t.is(await begin(maxBodyBytes + 1, { chunked: true }).end(), 413);
});

test('of large bodies two are read at a time, the others in order, and one too many is a 503', async (t) => {
  // On a busy machine their turns would end before the queue is full, and it would never be.
  const { begin, answered } = await serve(t, { largeMs: 60_000 });
  const first = [begin(large), begin(large)];
  for (const { send } of first) await send(maxSmallBytes + 1);
  for (const { arrived } of first) await arrived();
  const waiting: ReturnType<typeof begin>[] = [];
  for (let n = 0; n < maxLargeWaiting; n++) {
    const body = begin(large, { name: `${n}` });
    await body.send(maxSmallBytes + 1);
    // One that is only under way may be overtaken, and is then the one too many.
    await body.arrived();
    waiting.push(body);
  }
  const oneTooMany = begin(large);
  await oneTooMany.send(maxSmallBytes + 1);
  t.is(await oneTooMany.status, 503);
  t.is(await begin(maxSmallBytes).end(), 200, 'small ones do not wait');
  answered.length = 0;
  const ends = waiting.map(({ end }) => end());
  await Promise.all(first.map(({ end }) => end()));
  t.deepEqual(new Set(await Promise.all(ends)), new Set([200]));
  const names = answered.filter((name) => name !== '');
  t.is(names.length, maxLargeWaiting);
});

test('a large body that does not arrive in its turn makes way for the next', async (t) => {
  const { begin } = await serve(t, { largeMs: 200 });
  const slow = [begin(large), begin(large)];
  for (const { send } of slow) await send(maxSmallBytes + 1);
  // On a slow machine, that one may also take too long.
  while ((await begin(large).end()) !== 200);
  t.deepEqual(await Promise.all(slow.map(({ status }) => status)), [408, 408]);
});

test('whoever goes away while its body is read leaves its turn', async (t) => {
  const { begin } = await serve(t);
  const gone = [begin(large), begin(large)];
  for (const { send } of gone) await send(maxSmallBytes + 1);
  const next = begin(large).end();
  for (const { abort } of gone) abort();
  t.is(await next, 200);
});

test('when small bodies that never end fill their room, the oldest of them go, and a new one is read', async (t) => {
  const { begin } = await serve(t);
  // Each holds memory for all that it sent.
  const slow = Array.from({ length: maxHeldBytes / maxSmallBytes + 8 }, () => begin(maxSmallBytes));
  // In steps that double, so that the memory of each is as large as what it sent, however the network cuts it.
  for (const { send, arrived } of slow) {
    for (let bytes = 16 * 1024; bytes < maxSmallBytes; bytes *= 2) {
      await send(bytes);
      await arrived();
    }
    await send(maxSmallBytes - 1);
  }
  const refusedNow = () => slow.filter(({ refused }) => refused()).length;
  await until(() => refusedNow() >= 8);
  t.is(refusedNow(), 8);
  t.is(await begin(maxSmallBytes).end(), 200);
});
