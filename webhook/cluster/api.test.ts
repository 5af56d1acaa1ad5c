import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { type Api, createApi, pathOf } from './api.ts';
import { ApiError, TimeoutError, TooLargeError } from './api-error.ts';
import { findConnection, inClusterConnection, kubeConfigConnection, plainConnection } from './connection.ts';
import { type FakeApiServer, podObject, startFakeApiServer } from './fake/apiserver.ts';
import { fakeClock } from './fake/clock.ts';

async function started(
  options: Partial<Parameters<typeof createApi>[0]> = {},
): Promise<{ server: FakeApiServer; api: Api }> {
  const server = await startFakeApiServer();
  return { server, api: createApi({ connection: plainConnection(server.url), timeoutMs: 5000, ...options }) };
}

const pods = '/api/v1/namespaces/shop/pods';

test('objects are created, read, patched, replaced and removed, and writes carry the field manager', async (t) => {
  const { server, api } = await started();
  t.teardown(server.close);
  await api.create(pods, podObject({ name: 'a' }));
  await api.mergePatch(`${pods}/a`, { metadata: { labels: { team: 'ops' } } });
  const read = (await api.get(`${pods}/a`)) as ReturnType<typeof podObject>;
  t.deepEqual(read.metadata.labels, { team: 'ops' });
  await api.replace(`${pods}/a`, read);
  await api.remove(`${pods}/a`);
  await t.throwsAsync(api.get(`${pods}/a`), { instanceOf: ApiError, message: /^GET .*\/a: 404 NotFound/ });
  t.deepEqual(
    server.asked.map(({ verb, query }) => [verb, query.get('fieldManager')]),
    [
      ['create', 'podmirror-webhook'],
      ['patch', 'podmirror-webhook'],
      ['get', null],
      ['update', 'podmirror-webhook'],
      ['delete', null],
      ['get', null],
    ],
  );
  t.is(server.asked[1]?.headers['content-type'], 'application/merge-patch+json');
});

test('a refusal says its status, its reason and when to come back', async (t) => {
  const { server, api } = await started();
  t.teardown(server.close);
  server.fault({ kind: 'status', code: 429, reason: 'TooManyRequests', retryAfter: 7 });
  const error = await t.throwsAsync<ApiError>(api.list(pods));
  t.like(error, { status: 429, reason: 'TooManyRequests', retryAfterMs: 7000 });
});

test('a server that hangs is given up after the timeout, and a caller that aborts is heard at once', async (t) => {
  const { server, api } = await started();
  t.teardown(server.close);
  server.fault({ kind: 'hang' }, undefined, 2);
  await t.throwsAsync(api.get(pods, { timeoutMs: 50 }), { instanceOf: TimeoutError });
  const abort = new AbortController();
  const asking = api.get(pods, { signal: abort.signal });
  setTimeout(() => abort.abort(), 20);
  await t.throwsAsync(asking, { name: 'AbortError' });
});

test('an answer larger than the limit is not read to its end, and a line is passed by', async (t) => {
  const server = createServer((request, response) => {
    const more = () => void response.write('x'.repeat(10_000));
    const timer = setInterval(more, 1);
    request.on('close', () => clearInterval(timer));
    response.on('close', () => clearInterval(timer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const connection = plainConnection(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const api = createApi({ connection, maxAnswerBytes: 100_000, maxLineBytes: 100_000 });
  await t.throwsAsync(api.get('/x'), { instanceOf: TooLargeError });
  const events = api.watch('/x', {
    resourceVersion: '1',
    timeoutSeconds: 10,
    silenceMs: 5000,
    signal: new AbortController().signal,
  });
  t.like((await events.next()).value, { type: 'TOO_LARGE' });
  await events.return(undefined);
});

test('what is no JSON, or not JSON of the right shape, is an error with the path in it', async (t) => {
  const { server, api } = await started();
  t.teardown(server.close);
  server.fault({ kind: 'truncated', reset: false });
  await t.throwsAsync(api.get(`${pods}/a`), { message: `GET ${pods}/a` });
  server.fault({ kind: 'truncated', reset: true });
  await t.throwsAsync(api.get(`${pods}/a`), { message: `GET ${pods}/a` });
});

test('a kept connection that the server cut is replaced without the caller noticing', async (t) => {
  const { server, api } = await started();
  t.teardown(server.close);
  server.put(`${pods}/a`, podObject({ name: 'a' }));
  for (let round = 0; round < 5; round++) {
    await api.get(`${pods}/a`);
    server.cut();
  }
  t.pass();
});

test('reading a watch ends when its reader leaves, and the connection with it', async (t) => {
  const { server, api } = await started();
  t.teardown(server.close);
  const options = { resourceVersion: '0', timeoutSeconds: 100, silenceMs: 5000 };
  server.put(`${pods}/a`, podObject({ name: 'a' }));
  for await (const { type } of api.watch(pods, { ...options, signal: new AbortController().signal })) {
    t.is(type, 'ADDED');
    break;
  }
  while (server.watches().length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  t.pass();
});

test('paths are escaped', (t) => {
  t.is(pathOf({ namespace: 'a/../b' }, 'pods', 'x y'), '/api/v1/namespaces/a%2F..%2Fb/pods/x%20y');
  t.is(pathOf({ group: 'apis/apps/v1' }, 'replicasets'), '/apis/apps/v1/replicasets');
});

test('a rotated token is read again after a minute, and at once when it is wanted fresh', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'podmirror-account-'));
  const token = (value: string) => writeFile(join(root, 'token'), `${value}\n`);
  await Promise.all([
    token('one'),
    writeFile(join(root, 'ca.crt'), 'ca'),
    writeFile(join(root, 'namespace'), 'mirror'),
  ]);
  const clock = fakeClock();
  const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' };
  const connection = await inClusterConnection({ env, clock, root });
  const current = async (fresh?: boolean) => (await connection.credentials(fresh)).headers.authorization;

  t.is(connection.server.href, 'https://[fd00::1]:6443/');
  t.is(connection.namespace, 'mirror');
  await token('two');
  t.is(await current(), 'Bearer one');
  await clock.advance(61_000);
  t.is(await current(), 'Bearer two');
  await token('three');
  t.is(await current(true), 'Bearer three');
  const { agent } = await connection.credentials();
  await writeFile(join(root, 'ca.crt'), 'another');
  t.not((await connection.credentials(true)).agent, agent);
});

test('a request that is answered 401 is sent once more with what the files hold now', async (t) => {
  const server = await startFakeApiServer();
  t.teardown(server.close);
  server.put(`${pods}/a`, podObject({ name: 'a' }));
  const plain = plainConnection(server.url);
  const wanted: (boolean | undefined)[] = [];
  const connection = {
    ...plain,
    credentials(fresh?: boolean) {
      wanted.push(fresh);
      return plain.credentials();
    },
  };
  server.fault({ kind: 'status', code: 401 });
  await createApi({ connection }).get(`${pods}/a`);
  t.deepEqual(wanted, [false, true]);
});

test('a kubeconfig file is understood, with its token', async (t) => {
  const server = await startFakeApiServer();
  t.teardown(server.close);
  const folder = await mkdtemp(join(tmpdir(), 'podmirror-kubeconfig-'));
  const file = join(folder, 'config');
  await writeFile(
    file,
    JSON.stringify({
      clusters: [
        { name: 'c', cluster: { server: 'https://127.0.0.1:1/prefix/', 'insecure-skip-tls-verify': true } },
      ],
      users: [{ name: 'u', user: { token: 'secret' } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'mirror' } }],
      'current-context': 'x',
    }),
  );
  const connection = await kubeConfigConnection({ file, clock: fakeClock() });
  const first = await connection.credentials();
  t.deepEqual(first.headers, { authorization: 'Bearer secret' });
  t.is(connection.namespace, 'mirror');
  t.is((await connection.credentials(true)).agent, first.agent);
});

test('several files in KUBECONFIG are not taken for the name of one', async (t) => {
  const find = (env: Record<string, string>) => findConnection({ env, clock: fakeClock() });
  await t.throwsAsync(find({ KUBECONFIG: '/a:/b' }), { message: /Name one with --kubeconfig/ });
  await t.throwsAsync(find({ KUBECONFIG: ':/nowhere:' }), { message: /ENOENT.*'\/nowhere'/ });
});
