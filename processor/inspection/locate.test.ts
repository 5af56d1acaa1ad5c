import test from 'ava';
import fc from 'fast-check';
import type { Exchange } from '../exchange.ts';
import type { Match } from '../modsecurity/modsecurity.ts';
import { locate } from './locate.ts';

const request = (over: Partial<Exchange['request']>): Exchange['request'] => ({
  method: 'GET',
  target: '/',
  version: 'HTTP/1.1',
  headers: [],
  body: '',
  bodyTruncated: false,
  ...over,
});
const match = (variable: string, data: string): Match => ({
  id: 1,
  message: '',
  severity: 2,
  tags: [],
  variable,
  data,
});
const found = (matched: string, variable: string, value = matched) =>
  match(variable, `Matched Data: ${matched} found within ${variable}: ${value}`);

type Row = [title: string, request: Exchange['request'], match: Match, expected: ReturnType<typeof locate>];
const rows: Row[] = [
  [
    'the path',
    request({ target: '/etc/passwd?x' }),
    found('etc/passwd', 'REQUEST_FILENAME'),
    { where: 'target', start: 1, end: 11 },
  ],
  [
    'an encoded argument',
    request({ target: '/?a=b&f=%2e%2E/x' }),
    found('../', 'ARGS:f', '../x'),
    { where: 'target', start: 8, end: 15 },
  ],
  [
    'the right one of two arguments',
    request({ target: '/?a=evil&b=evil' }),
    found('evil', 'ARGS:b'),
    { where: 'target', start: 11, end: 15 },
  ],
  [
    'an argument whose rule tells only a fingerprint',
    request({ target: '/?q=1+or+1&z=2' }),
    found('1&1', 'ARGS:q', 'other'),
    { where: 'target', start: 4, end: 10 },
  ],
  [
    'a form field',
    request({ target: '/f', body: 'a=1&c=%3Cscript%3E' }),
    found('<script>', 'ARGS:c'),
    { where: 'body', start: 6, end: 18 },
  ],
  [
    'a value in JSON',
    request({ body: '{"a":"evil thing"}' }),
    found('EVIL', 'ARGS:json.a'),
    { where: 'body', start: 6, end: 10 },
  ],
  [
    'text that the rule saw squeezed',
    request({ body: '{"a":"c\\at /etc/x"}' }),
    found('cat/etc/x', 'ARGS:json.a'),
    { where: 'body', start: 6, end: 17 },
  ],
  [
    'the second of two headers',
    request({
      headers: [
        { name: 'A', value: 'x' },
        { name: 'user-agent', value: 'sqlmap/1' },
      ],
    }),
    found('sqlmap', 'REQUEST_HEADERS:User-Agent'),
    { where: 'header', header: 1, start: 0, end: 6 },
  ],
];
for (const [title, request, match, expected] of rows) {
  test(`${title} is found`, (t) => t.deepEqual(locate({ request }, match), expected));
}

test('what is not there is null', (t) => {
  t.is(locate({ request: request({ target: '/x' }) }, found('evil', 'REQUEST_BODY')), null);
});

test('a mark always lies within its place', (t) => {
  const text = fc.string({
    unit: fc.constantFrom('%', '2', 'e', 'E', '.', '/', '=', '&', '?', '+', 'a', ' ', '\\'),
  });
  t.notThrows(() =>
    fc.assert(
      fc.property(
        text,
        text,
        text,
        fc.constantFrom('ARGS:a', 'REQUEST_URI', 'REQUEST_BODY', 'TX:1'),
        (target, body, needle, variable) => {
          const mark = locate({ request: request({ target, body }) }, found(needle, variable));
          if (!mark) return true;
          const place = mark.where === 'body' ? body : target;
          return mark.start >= 0 && mark.start < mark.end && mark.end <= place.length;
        },
      ),
    ),
  );
});
