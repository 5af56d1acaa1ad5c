import test from 'ava';
import fc from 'fast-check';
import { bareHost, compileHostGlob, originalHost, sentHost } from './host.ts';

const request = (target: string, headers: [string, string][] = [], method = 'GET') => ({
  method,
  target,
  version: 'HTTP/1.1',
  headers: headers.map(([name, value]) => ({ name, value })),
  body: '',
  bodyTruncated: false,
});

for (const [glob, host, expected] of [
  ['w.com', 'w.com', true],
  ['w.com', 'W.COM:8080', true],
  ['w.com', 'w.com.', true],
  ['w.com', 'www.w.com', false],
  ['w.com', 'wxcom', false],
  ['*.test.com', 'a.test.com', true],
  ['*.test.com', 'a.b.test.com', true],
  ['*.test.com', 'test.com', false],
  ['*.TEST.com', 'a.test.com', true],
  ['*.test.com', 'a.test.com.evil', false],
  ['w.com:8080', 'w.com:8080', true],
  ['w.com:8080', 'w.com', false],
  ['api-?.w.com', 'api-1.w.com', true],
  ['api-?.w.com', 'api-10.w.com', false],
  ['api-[1-3].w.com', 'api-2.w.com', true],
  ['api-[^1-3].w.com', 'api-2.w.com', false],
  ['[\\]\\-a]', '-', true],
  ['\\*', '*', true],
  ['\\*', 'a', false],
  ['*', '', true],
  ['[[]::1]', '[::1]:80', true],
] as const) {
  test(`the glob ${glob} ${expected ? 'matches' : 'does not match'} ${host || 'no host'}`, (t) => {
    t.is(compileHostGlob(glob).matches(host), expected);
  });
}

for (const glob of ['[', '[]', '[^]', 'a[b', '[a-]', '[-a]', '[b-a]', 'a\\', `a${'?'.repeat(1000)}`]) {
  test(`${glob.slice(0, 10)} is no glob`, (t) => {
    t.throws(() => compileHostGlob(glob), { name: 'Error' });
  });
}

test('stars and question marks match as a plain search of all ways does', (t) => {
  const naive = (glob: string, text: string): boolean => {
    if (glob === '') return text === '';
    if (glob[0] === '*') return naive(glob.slice(1), text) || (text !== '' && naive(glob, text.slice(1)));
    return text !== '' && (glob[0] === '?' || glob[0] === text[0]) && naive(glob.slice(1), text.slice(1));
  };
  const of = (chars: string) =>
    fc.array(fc.constantFrom(...chars), { maxLength: 8 }).map((all) => all.join(''));
  fc.assert(
    fc.property(of('ab*?-'), of('ab-'), (glob, text) => {
      t.is(compileHostGlob(glob).matches(text), naive(glob, text));
    }),
    { numRuns: 1000 },
  );
});

test('the host is that of the target when it names one', (t) => {
  t.is(sentHost(request('/', [['host', 'a.com:80']])), 'a.com:80');
  t.is(sentHost(request('http://user@b.com:80/x', [['Host', 'a.com']])), 'b.com:80');
  t.is(sentHost(request('c.com:443', [], 'CONNECT')), 'c.com:443');
  t.is(sentHost(request('/')), '');
  t.is(bareHost('[::1]:8080'), '[::1]');
});

test('the original host is what the trusted proxy wrote, and nobody else', (t) => {
  const { headers } = request('/', [['X-Forwarded-Host', 'evil.com, shop.com']]);
  const proxies = { trusted: null, realIp: [], originalHost: ['X-Other', 'x-forwarded-host'] };
  t.is(originalHost(headers, proxies), 'shop.com');
  t.is(originalHost(headers, undefined), undefined);
});
