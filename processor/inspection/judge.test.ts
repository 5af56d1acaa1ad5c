import test from 'ava';
import { decodeBatch, type Exchange } from '../exchange.ts';
import { encodeBatch } from '../fake/batch.ts';
import { judge, recordedRequest } from './judge.ts';

const exchangeOf = (body: string) =>
  decodeBatch(encodeBatch([{ method: 'POST', target: '/form', body }])).exchanges[0] as Exchange;
const match = {
  id: 942_100,
  message: '',
  data: 'Matched Data: evil found within REQUEST_BODY: evil',
  severity: 2,
  tags: ['attack-sqli'],
  variable: 'REQUEST_BODY',
};
const options = { threshold: 5, maxRecordedBodyBytes: 10 };

test('an attack is told with its place in what is recorded', (t) => {
  t.like(judge(exchangeOf('a=evil'), [match], options), {
    type: 'sqli',
    mark: { where: 'body', start: 2, end: 6 },
  });
});

test('a place beyond what is recorded is not marked', (t) => {
  const { request } = exchangeOf('a=12345678901234567890evil');
  t.is(judge({ request }, [match], options)?.mark, null);
  t.like(recordedRequest(request, 10), { body: 'a=12345678', bodyTruncated: true });
});

test('nothing that matched is no attack', (t) => {
  t.is(judge(exchangeOf(''), [], options), null);
});
