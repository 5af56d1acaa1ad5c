import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { createAuthority } from '../certs/authority.ts';
import type { CertificatePair } from '../certs/source.ts';
import { blackHole } from './fake/black-hole.ts';
import { fakeLog } from './fake/log.ts';
import {
  authority,
  clientPair,
  fakeProcessor,
  type Reply,
  reset,
  silence,
  status,
} from './fake/processor.ts';
import { createPoster, endpoints, endpointUrl } from './post.ts';
import { createShipper } from './shipper.ts';

const pair = clientPair();
const never = new AbortController().signal;
const batch = (id = 'b1') => ({ id, bytes: Buffer.from(`batch ${id}`), exchanges: 3 });

async function shipping({
  replies = [],
  url,
  certificates = pair,
  connectTimeoutMs = 5000,
  timeoutMs = 5000,
  serverName,
  maxSockets = 2,
}: Setup = {}) {
  const processor = await fakeProcessor(replies);
  const state = { certificates };
  const to = { url: url ?? processor.url, ...(serverName !== undefined && { serverName }) };
  const poster = createPoster({
    processor: to,
    certificates: { current: () => state.certificates },
    connectTimeoutMs,
    timeoutMs,
    maxSockets,
  });
  const log = fakeLog();
  const shipper = createShipper({ url: 'P', poster, log, random: () => 0.05 });
  const close = () => {
    poster.close();
    processor.close();
  };
  return { ...shipper, poster, processor, log, state, close };
}

interface Setup {
  replies?: Reply[];
  url?: string;
  certificates?: CertificatePair;
  connectTimeoutMs?: number;
  timeoutMs?: number;
  serverName?: string;
  maxSockets?: number;
}

test('a batch arrives as protobuf over TLS 1.3 with the client certificate, on a connection that is kept', async (t) => {
  const { deliver, processor, log, close } = await shipping();
  t.teardown(close);
  t.is(await deliver(batch('b1'), never), 'delivered');
  t.is(await deliver(batch('b2'), never), 'delivered');
  const [first, second] = processor.received;
  t.like(first, {
    url: '/v1/exchanges',
    type: 'application/x-protobuf',
    client: 'agent',
    protocol: 'TLSv1.3',
  });
  t.deepEqual(
    processor.received.map(({ body }) => String(body)),
    ['batch b1', 'batch b2'],
  );
  t.is(first?.clientPort, second?.clientPort);
  t.deepEqual(log.lines, ['info delivering to P']);
});

const retried: { title: string; reply: Reply; said: RegExp; timeoutMs?: number }[] = [
  {
    title: 'a full processor (503)',
    reply: status(503, {}, 'store is full'),
    said: /status 503 \(store is full\)\. The processor takes no more just now/,
  },
  { title: 'too many requests (429)', reply: status(429), said: /status 429\. The processor takes no more/ },
  {
    title: 'a fault of the processor (500)',
    reply: status(500),
    said: /status 500\. See the processor's log/,
  },
  {
    title: 'a name that is not allowed (403)',
    reply: status(403),
    said: /status 403\. Write the name of this agent's certificate \(processor\.cert\) in ingest\.agents/,
  },
  {
    title: 'another server (404)',
    reply: status(404),
    said: /status 404\. That is not how a podmirror processor answers\. Correct processor\.url/,
  },
  {
    title: 'a redirect',
    reply: status(302, { location: 'https://x/' }),
    said: /status 302\. Redirects are not followed\. Write the last address/,
  },
  {
    title: 'a reset connection',
    reply: reset,
    said: /socket hang up\. If it stays so, the processor does not accept this agent's certificate/,
  },
  {
    title: 'no answer in time',
    reply: silence,
    timeoutMs: 200,
    said: /no answer within 200 ms\. Check the firewall/,
  },
];

for (const { title, reply, said, timeoutMs = 5000 } of retried) {
  test(`${title} is met with the same bytes again, and told once`, async (t) => {
    const { deliver, processor, log, trouble, close } = await shipping({
      replies: [reply, reply, reply],
      timeoutMs,
    });
    t.teardown(close);
    t.is(await deliver(batch(), never), 'delivered');
    t.deepEqual(
      processor.received.map(({ body }) => String(body)),
      Array(4).fill('batch b1'),
    );
    t.regex(log.lines[0] ?? '', said);
    t.deepEqual(log.lines.slice(1), ['info delivering to P']);
    t.is(trouble(), undefined);
  });
}

test('Retry-After is honoured', async (t) => {
  const { deliver, close } = await shipping({ replies: [status(429, { 'retry-after': '1' })] });
  t.teardown(close);
  const start = performance.now();
  t.is(await deliver(batch(), never), 'delivered');
  const waitedMs = performance.now() - start;
  t.true(waitedMs >= 1000, `${waitedMs} ms`);
});

for (const [code, advice] of [
  [400, /Run agent and processor of one version/],
  [413, /Write a smaller limits\.maxBatchBytes in the agent or a larger ingest\.maxBatchBytes/],
] as const) {
  test(`a batch that will never be taken (${code}) is given up at once, and told`, async (t) => {
    const { deliver, processor, log, close } = await shipping({
      replies: [status(code, {}, 'exchange 2 has no request')],
    });
    t.teardown(close);
    t.deepEqual(await deliver(batch(), never), { dropped: 'rejected' });
    t.is(processor.received.length, 1);
    t.regex(
      log.lines[0] ?? '',
      /^error 3 exchanges are lost: the processor refused batch b1 with status \d+ \(exchange 2 has no request\)/,
    );
    t.regex(log.lines[0] ?? '', advice);
  });
}

test('troubles that take turns are told once each', async (t) => {
  const turns = Array.from({ length: 5 }, () => [status(503), status(500)]).flat();
  const { deliver, log, close } = await shipping({ replies: turns });
  t.teardown(close);
  t.is(await deliver(batch(), never), 'delivered');
  await deliver(batch('b2'), never);
  t.is(log.lines.length, 3);
});

const stranger = createAuthority({ commonName: 'another CA', days: 1 });
const wrong: { title: string; setup: Setup; said: RegExp }[] = [
  {
    title: 'a processor of another CA',
    setup: { certificates: clientPair(authority, stranger) },
    said: /Write the CA that issued the processor's certificate in processor\.ca/,
  },
  {
    title: 'a certificate that the processor does not trust',
    setup: { certificates: clientPair(stranger) },
    said: /Have the processor's CA issue this agent's certificate \(processor\.cert\)/,
  },
  {
    title: 'a name that is not in the certificate',
    setup: { serverName: 'elsewhere' },
    said: /Write a name from the processor's certificate in processor\.serverName/,
  },
  {
    title: 'no processor',
    setup: { url: 'https://127.0.0.1:1' },
    said: /ECONNREFUSED.*\. Start the processor, or correct processor\.url/,
  },
];

for (const { title, setup, said } of wrong) {
  test(`${title}: told once with what to do, tried until time is up`, async (t) => {
    const { deliver, log, trouble, close } = await shipping(setup);
    t.teardown(close);
    const stop = new AbortController();
    const outcome = deliver(batch(), stop.signal);
    while (log.lines.length === 0) await sleep(10);
    await sleep(400); // some attempts more
    stop.abort();
    t.deepEqual(await outcome, { dropped: 'shutdown' });
    t.is(log.lines.length, 1);
    t.regex(log.lines[0] ?? '', said);
    t.regex(trouble()?.sentence ?? '', said);
  });
}

test('an address that leads nowhere is given up long before an answer would be', async (t) => {
  const hole = await blackHole();
  t.teardown(hole.close);
  const { deliver, log, close } = await shipping({
    url: hole.url,
    connectTimeoutMs: 200,
    timeoutMs: 100_000,
  });
  t.teardown(close);
  const stop = new AbortController();
  const outcome = deliver(batch(), stop.signal);
  while (log.lines.length === 0) await sleep(10);
  stop.abort();
  t.deepEqual(await outcome, { dropped: 'shutdown' });
  t.regex(log.lines[0] ?? '', /no connection within 200 ms\. Check the firewall/);
});

test('a processor that takes its time is not one that leads nowhere', async (t) => {
  const late: Reply = (response) => setTimeout(() => response.writeHead(200).end(), 2500);
  const { deliver, log, close } = await shipping({ replies: [late], connectTimeoutMs: 2000 });
  t.teardown(close);
  t.is(await deliver(batch(), never), 'delivered');
  t.deepEqual(log.lines, ['info delivering to P']);
});

test('serverName is what the certificate is checked for', async (t) => {
  const { deliver, close } = await shipping({ serverName: 'processor' });
  t.teardown(close);
  t.is(await deliver(batch(), never), 'delivered');
});

test('new certificates are used from the next batch on, without a restart', async (t) => {
  const { deliver, processor, state, close } = await shipping();
  t.teardown(close);
  await deliver(batch('b1'), never);
  state.certificates = clientPair(authority, authority, 'renewed');
  await deliver(batch('b2'), never);
  t.deepEqual(
    processor.received.map(({ client }) => client),
    ['agent', 'renewed'],
  );
  t.is(processor.connections(), 2);
});

test('a report of coverage uses a connection that rests, and keeps none of its own', async (t) => {
  const { deliver, poster, processor, close } = await shipping();
  t.teardown(close);
  const report = () => poster.post(Buffer.from('{}'), never, endpoints.coverage);
  t.is((await report()).status, 200);
  t.is((await report()).status, 200);
  await deliver(batch(), never);
  t.is((await report()).status, 200);
  const [first, second, third] = processor.reports;
  t.like(first, { url: '/v1/coverage', type: 'application/json', client: 'agent', protocol: 'TLSv1.3' });
  t.not(first?.clientPort, second?.clientPort);
  t.is(second?.client, 'agent', 'a resumed session has its name too');
  t.not(second?.clientPort, processor.received[0]?.clientPort);
  t.is(third?.clientPort, processor.received[0]?.clientPort);
});

test('a report waits for no batch, and no batch for it', async (t) => {
  const { deliver, poster, processor, close } = await shipping({
    replies: [silence, silence],
    maxSockets: 3,
  });
  t.teardown(close);
  const stop = new AbortController();
  const batches = ['b1', 'b2'].map((id) => deliver(batch(id), stop.signal));
  while (processor.received.length < 2) await sleep(10);
  t.is((await poster.post(Buffer.from('{}'), never, endpoints.coverage)).status, 200);
  stop.abort();
  await Promise.all(batches);
});

test('an idle connection that the processor closed is no trouble', async (t) => {
  const dropIdle: Reply = (response, request) => {
    response.writeHead(200).end();
    setTimeout(() => request.socket.destroy(), 20);
  };
  const { deliver, log, close } = await shipping({ replies: [dropIdle] });
  t.teardown(close);
  await deliver(batch('b1'), never);
  await new Promise((resolve) => setTimeout(resolve, 60));
  t.is(await deliver(batch('b2'), never), 'delivered');
  t.deepEqual(log.lines, ['info delivering to P']);
});

test('when time is up in the middle of an answer, the batch is not called delivered', async (t) => {
  const { deliver, close } = await shipping({ replies: [silence] });
  t.teardown(close);
  t.deepEqual(await deliver(batch(), AbortSignal.timeout(100)), { dropped: 'shutdown' });
});

test('the path of what is sent follows a prefix in processor.url', (t) => {
  t.is(endpointUrl('https://a:1', endpoints.exchanges).href, 'https://a:1/v1/exchanges');
  t.is(endpointUrl('https://a:1/mirror', endpoints.coverage).href, 'https://a:1/mirror/v1/coverage');
});
