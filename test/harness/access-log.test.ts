import test from 'ava';
import { parseAccessLine } from './access-log.ts';

const line = (request: string, rest = '') =>
  `{"id":"a-1","request":"${request}","method":"GET","status":200,"bodyBytesSent":1024,"contentLength":"",` +
  `"transferEncoding":"","expect":"","requestLength":77,"connection":3,"connectionRequests":2,"pipelined":"p","msec":1700000000.123${rest}}`;

test('a line gives the target between the first and the last space', (t) => {
  t.is(parseAccessLine(line('GET /a?b=c HTTP/1.1')).target, '/a?b=c');
});

test('quotes and backslashes in the target come back as they were sent', (t) => {
  t.is(parseAccessLine(line('GET /a?b=\\"\\\\ HTTP/1.1')).target, '/a?b="\\');
});

test('an absent content length is null, not 0', (t) => {
  t.is(parseAccessLine(line('GET / HTTP/1.1')).contentLength, null);
});

test('a line of another format is refused', (t) => {
  t.throws(() => parseAccessLine('{"id":"a-1"}'), { message: /no text/ });
});
