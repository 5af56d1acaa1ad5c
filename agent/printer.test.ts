import { PassThrough, Writable } from 'node:stream';
import test from 'ava';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { endpoint, isoTime, textOf } from './jsonline.ts';
import { createPrinter } from './printer.ts';

const type = protobuf
  .loadSync(new URL('../processor/exchange.proto', import.meta.url).pathname)
  .lookupType('podmirror.v1.ExchangeBatch');

const bytes = (text: string) => Buffer.from(text);
const exchange = {
  target: 1,
  connection: {
    clientAddress: [10, 0, 0, 1],
    clientPort: 50_000,
    serverAddress: [...Array(15).fill(0), 1],
    serverPort: 80,
    flowId: '18446744073709551615',
  },
  protocol: 1,
  request: {
    method: bytes('POST'),
    target: bytes('/a?b=ü'),
    version: 'HTTP/1.1',
    headers: [
      { name: bytes('Host'), value: bytes('shop') },
      { name: bytes('X'), value: Buffer.from([0xff]) },
    ],
    body: Buffer.from([0, 0xfe]),
    bodyLength: 9000,
    bodyTruncated: true,
    headLength: 40,
  },
  response: { status: 200, version: 'HTTP/1.1', contentType: 'text/html', contentLength: 0 },
  timing: { requestStartNs: '1767225600123456789', responseDelayNs: 1_500_000 },
  pairing: 1,
  gap: true,
};

function encode(exchanges: object[]) {
  const message = type.fromObject({
    id: Buffer.alloc(16),
    node: 'n1',
    targets: [
      { cgroup: '/a', name: 'a' },
      { cgroup: '/b', name: 'b', pod: 'p' },
    ],
    exchanges,
  });
  return { id: 'b1', bytes: Buffer.from(type.encode(message).finish()), exchanges: exchanges.length };
}

const never = new AbortController().signal;

async function printed(exchanges: object[]): Promise<unknown[]> {
  const output = new PassThrough();
  await createPrinter({ output, onEnd: () => {} })(encode(exchanges), never);
  const text = String(output.read() ?? '');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown);
}

test('an exchange is one line that says all there is, bytes that are no UTF-8 as base64', async (t) => {
  t.deepEqual(await printed([exchange]), [
    {
      time: '2026-01-01T00:00:00.123456Z',
      responseDelayMs: 1.5,
      node: 'n1',
      workload: { cgroup: '/b', name: 'b', pod: 'p' },
      client: '10.0.0.1:50000',
      server: '[::1]:80',
      flow: '18446744073709551615',
      sequence: 0,
      protocol: 'HTTP1',
      request: {
        method: 'POST',
        target: '/a?b=ü',
        version: 'HTTP/1.1',
        headers: [
          ['Host', 'shop'],
          ['X', { base64: '/w==' }],
        ],
        body: { base64: 'AP4=' },
        bodyLength: 9000,
        headLength: 40,
      },
      response: { status: 200, version: 'HTTP/1.1', headers: [], contentType: 'text/html', contentLength: 0 },
      pairing: 'ORDER',
      flags: ['gap', 'body_truncated'],
    },
  ]);
});

test('what was not seen is absent, what was empty is there', async (t) => {
  const [line] = await printed([
    { ...exchange, response: undefined, request: { method: bytes('GET'), target: bytes('/') } },
  ]);
  t.false(Object.hasOwn(line as object, 'response'));
  const { request } = line as { request: object };
  t.false(Object.hasOwn(request, 'bodyLength'), 'its end was not seen');
  t.like(request, { body: '' });
});

test('an exchange never breaks its line', async (t) => {
  const target = bytes('/\n\r\u2028"\\');
  t.is((await printed([{ ...exchange, request: { ...exchange.request, target } }, exchange])).length, 2);
});

test('text is kept and everything else comes back from base64', (t) => {
  fc.assert(
    fc.property(fc.uint8Array(), (array) => {
      const text = textOf(array);
      const back = typeof text === 'string' ? Buffer.from(text) : Buffer.from(text.base64, 'base64');
      return back.equals(Buffer.from(array));
    }),
  );
  t.pass();
});

const addresses: [title: string, address: number[], text: string | undefined][] = [
  ['IPv4', [192, 0, 2, 1], '192.0.2.1:80'],
  ['IPv6', [0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 1], '[2001:db8::1]:80'],
  ['IPv4 in IPv6', [...Array(10).fill(0), 255, 255, 10, 0, 0, 9], '10.0.0.9:80'],
  ['an unknown', [], undefined],
];

for (const [title, address, text] of addresses) {
  test(`${title} address is shown as ${text}`, (t) => t.is(endpoint(Uint8Array.from(address), 80), text));
}

test('times keep their microseconds', (t) => t.is(isoTime('1000'), '1970-01-01T00:00:00.000001Z'));

test('a batch is delivered only when the reader has taken it', async (t) => {
  let taken = () => {};
  const keepDone = (_chunk: unknown, _encoding: string, done: () => void) => {
    taken = done;
  };
  const output = new Writable({ write: keepDone });
  let outcome: unknown;
  const delivery = createPrinter({ output, onEnd: () => {} })(encode([exchange]), never).then(
    (is) => (outcome = is),
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.is(outcome, undefined);
  taken();
  t.is(await delivery, 'delivered');
});

test('a reader that stopped reading does not hold up the end', async (t) => {
  const output = new Writable({ write: () => {} });
  const deliver = createPrinter({ output, onEnd: () => {} });
  const end = new AbortController();
  // AbortSignal.timeout alone does not keep the process waiting.
  setTimeout(() => end.abort(), 20);
  t.deepEqual(await deliver(encode([exchange]), end.signal), { dropped: 'shutdown' });
});

const ends: { title: string; code: string; message: RegExp | undefined }[] = [
  { title: 'a reader that has gone is no fault', code: 'EPIPE', message: undefined },
  {
    title: 'a full disk is told with what to do',
    code: 'ENOSPC',
    message: /^print: the disk that stdout goes to is full\. Make room/,
  },
];

for (const { title, code, message } of ends) {
  test(title, async (t) => {
    const told: (Error | undefined)[] = [];
    const output = new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error(code), { code })),
    });
    const deliver = createPrinter({ output, onEnd: (error) => told.push(error) });
    t.deepEqual(await deliver(encode([exchange]), never), { dropped: 'shutdown' });
    t.deepEqual(await deliver(encode([exchange]), never), { dropped: 'shutdown' });
    t.is(told.length, 1);
    if (message) t.regex(told[0]?.message ?? '', message);
    else t.is(told[0], undefined);
  });
}
