import test from 'ava';
import { endpointOf, parameterOf, pathOf } from './endpoint.ts';

for (const [target, path] of [
  ['/a/b?c', '/a/b'],
  ['http://shop.example/a?b', '/a'],
  ['http://shop.example', '/'],
  ['*', '*'],
  ['/a#b', '/a'],
] as const) {
  test(`the path of ${target} is ${path}`, (t) => t.is(pathOf(target), path));
}

test('what looks like an identifier is taken out of an endpoint', (t) => {
  t.is(
    endpointOf({ method: 'GET', target: '/users/42/5e0e5c7a-1d2b-4c3d-8e9f-0123456789ab?x=1' }),
    'GET /users/{id}/{id}',
  );
  t.is(endpointOf({ method: 'GET', target: '/v2/cafe' }), 'GET /v2/cafe');
});

for (const [variable, parameter] of [
  ['ARGS:File', 'ARGS:File'],
  ['REQUEST_HEADERS:User-Agent', 'REQUEST_HEADERS:user-agent'],
  ['REQUEST_URI_RAW', 'path'],
] as const) {
  test(`the parameter of ${variable} is ${parameter}`, (t) => {
    t.is(parameterOf({ id: 1, message: '', data: '', severity: 2, tags: [], variable }), parameter);
  });
}
