/** The kinds of request in the mix; targets are those of nginx-conf.ts. */
import type { Random } from './random.ts';
import { framingHeaders, type HeaderPair, type PlannedBody, type PlannedRequest } from './request.ts';

export interface Kind {
  name: string;
  weight: number;
  /** The connection ends with its response. */
  closes?: boolean;
  /** Not pipelined with others. */
  alone?: boolean;
  plan(draw: Draw): PlannedRequest;
}

interface Draw {
  random: Random;
  id: string;
  kind: string;
}

const ODD_TARGETS = [
  '/text?q=%27%20OR%201=1--',
  '/text?quote="&back=\\slash',
  '/text?raw=\xe4\xf6\xfc\xff',
  '/text/../text//x;y=1?a[]=1&a[]=2&&=&?',
  '/text?empty=&also',
  '/text?url=http://elsewhere/%0d%0aX:%20y',
  '/no/such/file',
];
const STATUSES = [200, 400, 401, 403, 404, 409, 410, 429, 500, 503];
const NO_BODY: PlannedBody = { framing: 'none' };

/** Weights are parts per thousand, roughly. */
export const KINDS: readonly Kind[] = [
  { name: '1 KiB file', weight: 300, plan: (draw) => request(draw, { target: '/1k.txt' }) },
  { name: '1 MiB file', weight: 5, plan: (draw) => request(draw, { target: '/1m.bin' }) },
  { name: '10 MiB file', weight: 0.5, plan: (draw) => request(draw, { target: '/10m.bin' }) },
  {
    name: 'text',
    weight: 120,
    plan: (draw) => request(draw, { target: `/text?n=${draw.random.between(0, 1e9)}` }),
  },
  {
    name: 'odd target',
    weight: 60,
    plan: (draw) => request(draw, { target: draw.random.pick(ODD_TARGETS) }),
  },
  {
    name: 'status',
    weight: 60,
    plan: (draw) => request(draw, { target: `/status/${draw.random.pick(STATUSES)}` }),
  },
  { name: 'redirect', weight: 20, plan: (draw) => request(draw, { target: '/moved' }) },
  { name: '204', weight: 40, plan: (draw) => request(draw, { target: '/empty' }) },
  {
    name: '304',
    weight: 40,
    plan: (draw) =>
      request(draw, {
        target: '/1k.txt',
        headers: [
          ['If-Modified-Since', 'Fri, 01 Jan 2100 00:00:00 GMT'],
          ['If-None-Match', '*'],
        ],
      }),
  },
  {
    name: 'range',
    weight: 15,
    plan: (draw) => request(draw, { target: '/1m.bin', headers: [['Range', 'bytes=5-99']] }),
  },
  {
    name: 'HEAD',
    weight: 50,
    plan: (draw) =>
      request(draw, {
        method: 'HEAD',
        target: draw.random.pick(['/1k.txt', '/10m.bin', '/empty', '/chunked/1k.txt', '/no']),
      }),
  },
  { name: 'chunked response', weight: 50, plan: (draw) => request(draw, { target: '/chunked/1k.txt' }) },
  { name: 'large chunked response', weight: 2, plan: (draw) => request(draw, { target: '/chunked/1m.bin' }) },
  {
    name: 'absolute form',
    weight: 20,
    plan: (draw) => request(draw, { target: `http://shop.example:80/text?id=${draw.id}` }),
  },
  {
    name: '405',
    weight: 10,
    plan: (draw) => request(draw, { method: 'POST', target: '/1k.txt', body: lengthBody(draw.random, 2000) }),
  },
  { name: 'own method', weight: 10, plan: (draw) => request(draw, { method: 'PURGE-ALL', target: '/text' }) },
  {
    name: 'odd headers',
    weight: 40,
    plan: (draw) => request(draw, { target: '/text', headers: oddHeaders(draw.random) }),
  },
  {
    name: 'long head',
    weight: 15,
    plan: (draw) =>
      request(draw, { target: `/text?${'long=&'.repeat(800)}`, headers: [['Cookie', 'c'.repeat(6000)]] }),
  },
  {
    name: 'line feeds only',
    weight: 10,
    plan: (draw) => ({ ...request(draw, { target: '/text' }), lineEnd: '\n' }),
  },
  {
    name: 'empty line before',
    weight: 10,
    plan: (draw) => ({ ...request(draw, { target: '/text' }), before: '\r\n' }),
  },
  {
    name: 'upload',
    weight: 60,
    plan: (draw) => request(draw, { method: 'POST', target: '/upload', body: lengthBody(draw.random, 4000) }),
  },
  {
    name: 'empty upload',
    weight: 10,
    plan: (draw) =>
      request(draw, {
        method: 'PUT',
        target: '/upload',
        body: { framing: 'length', bytes: Buffer.alloc(0) },
      }),
  },
  {
    name: 'large upload',
    weight: 4,
    plan: (draw) =>
      request(draw, { method: 'PUT', target: '/upload/large', body: lengthBody(draw.random, 400_000) }),
  },
  {
    name: 'chunked upload',
    weight: 60,
    plan: (draw) =>
      request(draw, { method: 'POST', target: '/upload/chunked', body: chunkedBody(draw.random, 1500) }),
  },
  {
    name: 'large chunked upload',
    weight: 3,
    plan: (draw) =>
      request(draw, { method: 'POST', target: '/upload/chunked', body: chunkedBody(draw.random, 60_000) }),
  },
  {
    name: 'GET with a body',
    weight: 8,
    plan: (draw) => request(draw, { target: '/upload?get', body: lengthBody(draw.random, 300) }),
  },
  {
    name: 'chunked 405',
    weight: 4,
    plan: (draw) => request(draw, { method: 'POST', target: '/1k.txt', body: chunkedBody(draw.random, 500) }),
  },
  { name: '100-continue', weight: 10, alone: true, plan: (draw) => expecting(draw, 'wait') },
  { name: '100-continue, impatient', weight: 8, alone: true, plan: (draw) => expecting(draw, 'go-on') },
  {
    name: 'HTTP/1.0 keep-alive',
    weight: 15,
    plan: (draw) =>
      request(draw, { version: 'HTTP/1.0', target: '/1k.txt', headers: [['Connection', 'keep-alive']] }),
  },
  {
    name: 'HTTP/1.0',
    weight: 3,
    closes: true,
    plan: (draw) => request(draw, { version: 'HTTP/1.0', target: '/1k.txt' }),
  },
  {
    name: 'HTTP/1.0, ended by close',
    weight: 3,
    closes: true,
    plan: (draw) => request(draw, { version: 'HTTP/1.0', target: '/chunked/1k.txt' }),
  },
  {
    name: 'Connection: close',
    weight: 3,
    closes: true,
    plan: (draw) => request(draw, { target: '/text', headers: [['Connection', 'close']] }),
  },
  {
    name: 'no Host',
    weight: 1,
    closes: true,
    plan: (draw) => withoutHost(request(draw, { target: '/text' })),
  },
  { name: '413 before the body', weight: 2, closes: true, alone: true, plan: (draw) => tooLarge(draw) },
  {
    name: 'upgrade',
    weight: 2,
    closes: true,
    alone: true,
    plan: (draw) =>
      request(draw, {
        target: '/upgrade',
        headers: [
          ['Connection', 'Upgrade'],
          ['Upgrade', 'echo'],
        ],
      }),
  },
];

interface RequestParts {
  method?: string;
  target: string;
  version?: PlannedRequest['version'];
  headers?: readonly HeaderPair[];
  body?: PlannedBody;
}

function request({ id, kind }: Draw, parts: RequestParts): PlannedRequest {
  const { method = 'GET', target, version = 'HTTP/1.1', headers = [], body = NO_BODY } = parts;
  const all: HeaderPair[] = [['Host', 'shop.example'], ['X-Id', id], ...headers, ...framingHeaders(body)];
  return { id, kind, method, target, version, headers: all, body, lineEnd: '\r\n', before: '', expect: null };
}

function expecting(draw: Draw, expect: 'wait' | 'go-on'): PlannedRequest {
  const body = draw.random.chance(0.5) ? lengthBody(draw.random, 3000) : chunkedBody(draw.random, 500);
  return {
    ...request(draw, {
      method: 'POST',
      target: '/upload/expect',
      headers: [['Expect', '100-continue']],
      body,
    }),
    expect,
  };
}

/** nginx answers 413 to the head alone; the client then keeps its body. */
function tooLarge(draw: Draw): PlannedRequest {
  const body: PlannedBody = { framing: 'length', bytes: Buffer.alloc(5000, 'x') };
  return {
    ...request(draw, { method: 'POST', target: '/small', headers: [['Expect', '100-continue']], body }),
    expect: 'wait',
  };
}

function withoutHost(planned: PlannedRequest): PlannedRequest {
  return { ...planned, headers: planned.headers.filter(([name]) => name !== 'Host') };
}

function oddHeaders(random: Random): HeaderPair[] {
  return [
    ['x-dup', 'one'],
    ['X-DUP', 'two'],
    ['X-Dup', ''],
    ['X_under.score!#$', `  blanks ${random.between(0, 9)}  `],
    ['X-Bytes', 'caf\xe9 \xff\xfe'],
    ['Accept', '*/*'],
    ['X-Colons', ': a: b:'],
    ...Array.from({ length: random.between(0, 40) }, (_, n): HeaderPair => [`X-${n}`, 'v'.repeat(n)]),
  ];
}

function lengthBody(random: Random, most: number): PlannedBody {
  return { framing: 'length', bytes: random.bytes(random.between(1, most)) };
}

function chunkedBody(random: Random, largestChunk: number): PlannedBody {
  const chunks = Array.from({ length: random.between(0, 6) }, () =>
    random.bytes(random.between(1, largestChunk)),
  );
  const trailers: HeaderPair[] = random.chance(0.3)
    ? [
        ['X-Checksum', String(random.between(0, 1e6))],
        ['X-Last', ''],
      ]
    : [];
  return { framing: 'chunked', chunks, extension: random.chance(0.2) ? ';name="value"' : '', trailers };
}
