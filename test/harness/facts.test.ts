import test from 'ava';
import protobuf from 'protobufjs';
import type { Sent } from './client.ts';
import { compare, describeDifference } from './compare.ts';
import { decodeBatch } from './exchanges.ts';
import { factOfExchange, factOfSent } from './facts.ts';
import { planMix } from './mix.ts';
import { seededRandom } from './random.ts';
import { bodyContent, type HeaderPair } from './request.ts';

const BODY_CAP = 65_536;

/** What a faultless capture would encode for a request that was answered 200. */
function encodeExchange({ request }: Sent): object {
  const body = bodyContent(request.body);
  const wire = (headers: readonly HeaderPair[]) =>
    headers.map(([name, value]) => ({
      name: Buffer.from(name, 'latin1'),
      value: Buffer.from(value.trim(), 'latin1'),
    }));
  return {
    connection: { flowId: '18446744073709551615' },
    request: {
      method: Buffer.from(request.method),
      target: Buffer.from(request.target, 'latin1'),
      headers: wire(request.headers),
      body: body.subarray(0, BODY_CAP),
      bodyLength: body.length,
      trailers: request.body.framing === 'chunked' ? wire(request.body.trailers) : [],
    },
    response: { status: 200, contentLength: 7 },
  };
}

function encodeBatch(exchanges: readonly object[]): Uint8Array {
  const type = protobuf.loadSync('processor/exchange.proto').lookupType('podmirror.v1.ExchangeBatch');
  return type.encode(type.fromObject({ targets: [{ name: 'web' }], exchanges })).finish();
}

const sent: Sent[] = planMix({ random: seededRandom(3), requests: 2000 })
  .flatMap(({ groups }) => groups.flat())
  .map((request) => ({
    request,
    response: { status: 200, headers: new Map(), declaredLength: 7, last: false },
    bodySent: true,
  }));

test('a faultless exchange and the client that sent it tell the same facts', (t) => {
  const captured = decodeBatch(encodeBatch(sent.map(encodeExchange))).map(factOfExchange);
  t.is(describeDifference(compare(sent.map(factOfSent), captured)), 'no difference');
});

test('an exchange that says nothing of its response has status 0', (t) => {
  const [exchange] = decodeBatch(encodeBatch([{ request: { method: Buffer.from('GET') } }]));
  t.is(exchange && factOfExchange(exchange).status, 0);
});

test('a body length that was not seen is unknown, one of 0 is 0', (t) => {
  const lengths = [{}, { bodyLength: 0 }].map((request) => ({ request }));
  const facts = decodeBatch(encodeBatch(lengths)).map(factOfExchange);
  t.deepEqual(
    facts.map(({ bodyLength }) => bodyLength),
    [null, 0],
  );
});

test('flow ids keep all of their 64 bits, and the identity comes from the batch', (t) => {
  const [exchange] = decodeBatch(encodeBatch(sent.slice(0, 1).map(encodeExchange)));
  t.is(exchange?.connection.flowId, '18446744073709551615');
  t.is(exchange?.identity, 'web');
});
