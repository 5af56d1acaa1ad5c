import test from 'ava';
import fc from 'fast-check';
import { compileInputFilters, type FilterVerdict } from './input-filter.ts';
import { pathForms } from './path.ts';

// The examples of the vendor's documentation.
const byToken = compileInputFilters({
  inspect: [{ path: '^/api/v[0-9]+/.*', headers: { Authorization: '^Bearer .+' } }],
  bypass: [{ path: '.*\\.(png|jpg|css|js|svg)$' }, { headers: { accept: 'text/html' } }],
});
const byHost = compileInputFilters({
  inspect: [{ headers: { host: '^api\\.example\\.com$' } }],
  bypass: [{ url: '^/healthz$' }],
});

type Row = [
  title: string,
  filter: typeof byToken,
  target: string,
  headers: Record<string, string>,
  expected: FilterVerdict,
];
const token = { authorization: 'Bearer x' };
const rows: Row[] = [
  ['path and header match', byToken, '/api/v1/a', token, 'inspected'],
  ['the header is another', byToken, '/api/v1/a', { authorization: 'Basic x' }, 'not_selected'],
  ['the header is missing', byToken, '/api/v1/a', {}, 'not_selected'],
  ['the path is another', byToken, '/x/api/v1/a', token, 'not_selected'],
  ['bypass wins over inspect', byToken, '/api/v1/a.png', token, 'bypassed'],
  ['the query is no part of the path', byToken, '/api/v1/a?x=a.png', token, 'inspected'],
  ['bypass by header', byToken, '/api/v1/a', { ...token, Accept: 'text/html,*/*' }, 'bypassed'],
  ['host', byHost, '/', { host: 'api.example.com' }, 'inspected'],
  ['host with a port', byHost, '/', { host: 'api.example.com:8080' }, 'inspected'],
  ['another host', byHost, '/', { host: 'www.example.com' }, 'not_selected'],
  ['url is another word for path', byHost, '/healthz', { host: 'api.example.com' }, 'bypassed'],
  [
    'a path with two meanings is not bypassed',
    byHost,
    '/x/..%2fhealthz',
    { host: 'api.example.com' },
    'inspected',
  ],
  ['nor with an escape', byHost, '/health%7a', { host: 'api.example.com' }, 'inspected'],
  ['but it is selected', byToken, '/x/..%2fapi/v1/a', token, 'inspected'],
  [
    'a path too long to match is not bypassed',
    byHost,
    `/healthz${'/.'.repeat(9000)}`,
    { host: 'api.example.com' },
    'inspected',
  ],
  ['a path too long to match is selected', byToken, `/${'a'.repeat(9000)}`, token, 'inspected'],
];
for (const [title, filter, target, headers, expected] of rows) {
  test(`input filters: ${title}`, (t) => {
    const lines = Object.entries(headers).map(([name, value]) => ({ name, value }));
    t.is(filter({ paths: pathForms(target), host: headers.host ?? '', headers: lines }), expected);
  });
}

test('without filters all is inspected', (t) => {
  const filter = compileInputFilters({ inspect: [], bypass: [] });
  t.is(filter({ paths: ['/'], host: '', headers: [] }), 'inspected');
});

test('no spelling of a path gets an exchange bypassed that its normal form would not', (t) => {
  const filter = compileInputFilters({ inspect: [], bypass: [{ path: '^/static/' }] });
  const part = fc.constantFrom('static', 'admin', '..', '.', '/', '%2f', '%2e%2e', '%73tatic');
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const paths = pathForms(`/${parts.join('/')}`);
      if (filter({ paths, host: '', headers: [] }) === 'bypassed') t.true(paths[0].startsWith('/static/'));
      else t.pass();
    }),
  );
});
