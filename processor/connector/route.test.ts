import test from 'ava';
import { compileLocation, compileRoutes, type RouteConfig } from './route.ts';

// The example of the vendor's documentation, and more.
const config: RouteConfig = {
  wallarm_application: 10,
  wallarm_mode: 'monitoring',
  routes: [
    {
      host: 'example.com',
      wallarm_application: 1,
      routes: [
        { route: '/app2', wallarm_application: 2 },
        { route: '/app2/off', wallarm_mode: 'off' },
      ],
    },
    { host: 'api.example.com', route: '/api', wallarm_application: 100 },
    { host: '*.example.com', wallarm_application: 7 },
    { host: '*.api.example.com', wallarm_application: 8 },
    { route: '/testing', wallarm_mode: 'off' },
    { route: '=/api/login', wallarm_application: 20 },
    { route: '/api', wallarm_application: 21 },
    { route: '/api/long', wallarm_application: 22 },
    { route: '~/[0-9]+$', wallarm_application: 23 },
    { route: '~* /UPPER', wallarm_application: 24 },
    { route: '^~/fixed', wallarm_application: 25 },
    { route: '/blocked', wallarm_mode: 'block', wallarm_application: -1 },
  ],
};
const route = compileRoutes(config);

for (const [host, path, application, isOff] of [
  ['other.org', '/', 10, false],
  ['', '/', 10, false],
  ['example.com', '/', 1, false],
  ['EXAMPLE.com:8080', '/', 1, false],
  ['example.com', '/app2/x', 2, false],
  ['example.com', '/app2/off/x', 1, true],
  ['api.example.com', '/api/x', 100, false],
  ['api.example.com', '/x', 7, false],
  ['www.api.example.com', '/x', 8, false],
  ['other.org', '/testing', 10, true],
  ['other.org', '/testingx', 10, true],
  // The nearest host has the word, as a server of nginx.
  ['example.com', '/testing', 1, false],
  ['other.org', '/api/login', 20, false],
  ['other.org', '/api/login/x', 21, false],
  ['other.org', '/api/longer', 22, false],
  ['other.org', '/api/5', 23, false],
  ['other.org', '/upper', 24, false],
  ['other.org', '/fixed/5', 25, false],
  ['other.org', '/blocked', undefined, false],
] as const) {
  test(`${host || 'no host'} ${path} is application ${application}${isOff ? ', not inspected' : ''}`, (t) => {
    t.deepEqual(route(host, [path]), { isOff, ...(application !== undefined && { application }) });
  });
}

test('a path with two meanings is off only when both are', (t) => {
  t.false(route('other.org', ['/admin', '/testing/../admin']).isOff);
  t.false(route('other.org', ['/testing', '/x/../testing']).isOff);
  t.true(route('other.org', ['/testing/b', '/testing/a/../b']).isOff);
});

test('a path that is too long to match is not off', (t) => {
  t.false(route('other.org', [`/testing${'x'.repeat(9000)}`]).isOff);
});

test('all can be off but some', (t) => {
  const some = compileRoutes({
    wallarm_mode: 'off',
    routes: [{ route: '/api', wallarm_mode: 'monitoring' }],
  });
  t.deepEqual([some('', ['/']).isOff, some('', ['/api']).isOff], [true, false]);
});

for (const [text, kind, path, expected] of [
  ['= /a', 'exact', '/a', true],
  ['=/a', 'exact', '/ab', false],
  ['^~ /a', 'final prefix', '/ab', true],
  ['~ ^/A', 'regex', '/a', false],
  ['~*^/A', 'regex', '/a', true],
  ['/a', 'prefix', '/b', false],
] as const) {
  test(`the route ${text} is ${kind} and ${expected ? 'takes' : 'leaves'} ${path}`, (t) => {
    const location = compileLocation(text);
    t.deepEqual([location.kind, location.matches(path)], [kind, expected]);
  });
}

for (const text of ['api', '=api', '~[', '~(?=a)', '~*', ' ']) {
  test(`${JSON.stringify(text)} is ${text === '~*' ? 'a regex that matches all' : 'no route'}`, (t) => {
    if (text === '~*') t.true(compileLocation(text).matches('/x'));
    else t.throws(() => compileLocation(text));
  });
}
