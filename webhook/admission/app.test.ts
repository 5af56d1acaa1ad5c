import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test, { type ExecutionContext } from 'ava';
import { Registry } from 'prom-client';
import { fakeLog } from '../cluster/fake/log.ts';
import { until } from '../cluster/fake/until.ts';
import type { ClusterView } from '../cluster/view.ts';
import { type AdmissionDeps, createAdmissionApp } from './app.ts';
import { maxBodyBytes } from './bodies.ts';
import { podObject, reviewBody } from './fake/review.ts';
import { fakeView } from './fake/view.ts';
import { createAdmissionMetrics } from './metrics.ts';
import type { AdmissionReview } from './review.ts';

const mirrored = podObject({ annotations: { 'mirror.wallarm.com/enabled': 'true' } });

async function serve(t: ExecutionContext, deps: Partial<AdmissionDeps> = {}) {
  const log = fakeLog();
  const registry = new Registry();
  const remembered: string[] = [];
  const app = createAdmissionApp({
    view: fakeView(),
    async remember({ namespace }, { because }) {
      remembered.push(`${namespace}: ${because}`);
      return 'written';
    },
    log,
    metrics: createAdmissionMetrics(registry),
    ...deps,
  });
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const ask = async (path: string, body: unknown) => {
    const response = await post(path, body);
    return ((await response.json()) as AdmissionReview).response;
  };
  return { url, port, post, ask, log, registry, remembered };
}

test('a mirrored pod is answered with its patch and remembered', async (t) => {
  const { post, remembered } = await serve(t);
  const response = await post('/mutate?timeout=2s', reviewBody({ object: mirrored }));
  t.is(response.status, 200);
  t.regex(String(response.headers.get('content-type')), /^application\/json/);
  const review = (await response.json()) as AdmissionReview;
  t.snapshot(review);
  t.snapshot(JSON.parse(Buffer.from(String(review.response.patch), 'base64').toString()));
  t.deepEqual(remembered, ['shop: the pod is annotated mirror.wallarm.com/enabled=true']);
});

test('a dry run is answered alike and never remembered', async (t) => {
  const { ask, remembered } = await serve(t);
  const wet = await ask('/mutate', reviewBody({ object: mirrored }));
  const dry = await ask('/mutate', reviewBody({ object: mirrored, dryRun: true }));
  t.deepEqual(dry, wet);
  t.is(remembered.length, 1);
});

test('a pod that is not mirrored is not remembered', async (t) => {
  const { ask, remembered } = await serve(t);
  t.true((await ask('/mutate', reviewBody({ object: podObject() }))).allowed);
  t.deepEqual(remembered, []);
});

test('a write that hangs holds an admission no longer than its budget', async (t) => {
  const { ask, registry } = await serve(t, { remember: () => new Promise(() => {}), writeBudgetMs: 50 });
  const startedMs = performance.now();
  t.true((await ask('/mutate', reviewBody({ object: mirrored }))).allowed);
  const tookMs = performance.now() - startedMs;
  // That it is answered at all shows the bound: the write never ends.
  t.true(tookMs >= 45, `${tookMs} ms`);
  t.regex(await registry.metrics(), /^podmirror_admission_write_budget_exceeded_total 1$/m);
});

test('a write that fails fails no admission', async (t) => {
  const { ask, registry } = await serve(t, { remember: async () => 'failed' });
  t.true((await ask('/mutate', reviewBody({ object: mirrored }))).allowed);
  t.regex(await registry.metrics(), /^podmirror_admission_write_failed_total 1$/m);
});

test('refused filters are a decision: 200, not allowed, with every problem', async (t) => {
  const { post, registry } = await serve(t);
  const object = { data: { 'filters.yaml': "filters: [{namespace: 'team-['}, {}]" } };
  const names = { kind: 'ConfigMap', name: 'podmirror-filters', namespace: 'podmirror' };
  const response = await post('/validate', reviewBody({ ...names, object }));
  t.is(response.status, 200);
  t.snapshot(((await response.json()) as AdmissionReview).response);
  const text = await registry.metrics();
  t.regex(text, /^podmirror_admission_denied_total\{kind="ConfigMap"\} 1$/m);
  t.regex(text, /_duration_seconds_count\{path="\/validate",outcome="denied"\} 1$/m);
});

test('our own mistake is a 500 that tells strangers nothing, and failurePolicy decides', async (t) => {
  const broken: ClusterView = {
    ...fakeView(),
    namespace() {
      throw new Error('cache of 10.0.0.7 is gone');
    },
  };
  const { post, log, registry } = await serve(t, { view: broken });
  const response = await post('/mutate', reviewBody({ object: mirrored }));
  t.is(response.status, 500);
  t.is(await response.text(), 'podmirror made a mistake; its log says more\n');
  t.regex(
    log.lines.join('\n'),
    /^error answer an admission review: Error: cache of 10\.0\.0\.7 is gone\n {4}at /,
  );
  t.regex(await registry.metrics(), /_duration_seconds_count\{path="\/mutate",outcome="failed"\} 1$/m);
});

const refused: [title: string, status: number, said: RegExp, init: RequestInit, path?: string][] = [
  ['no JSON', 400, /^The body could not be read\. Send an AdmissionReview/, { body: '{"a":' }],
  ['JSON that is no block', 400, /^this is no AdmissionReview/, { body: '7' }],
  ['another object', 400, /^this is no AdmissionReview of admission\.k8s\.io\/v1: /, { body: '{}' }],
  ['no body', 400, /^this is no AdmissionReview/, {}],
  [
    'YAML',
    415,
    /^Send Content-Type: application\/json/,
    { body: '{}', headers: { 'content-type': 'application/yaml' } },
  ],
  [
    'gzip',
    415,
    /without Content-Encoding$/,
    { body: '{}', headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' } },
  ],
  [
    'another character set',
    415,
    /in UTF-8/,
    { body: '{}', headers: { 'content-type': 'application/json; charset=latin1' } },
  ],
  ['GET', 405, /^This path takes POST only$/, { method: 'GET' }],
  ['another path', 404, /^There is nothing here\. Write the path/, { body: '{}' }, '/'],
];

for (const [title, status, said, init, path = '/validate'] of refused) {
  test(`a request with ${title} is answered ${status} in words`, async (t) => {
    const { url, log } = await serve(t);
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      ...init,
    });
    t.is(response.status, status);
    t.regex((await response.text()).trim(), said);
    t.deepEqual(log.lines, []);
  });
}

/** A review of exactly so many bytes. */
function sized(bytes: number): string {
  const review = (filling: string) =>
    JSON.stringify(reviewBody({ kind: 'Deployment', group: 'apps', object: { metadata: { filling } } }));
  return review('x'.repeat(bytes - review('').length));
}

test('a review of 7 MiB is read, one byte more is a 413', async (t) => {
  const { ask, post } = await serve(t);
  t.true((await ask('/validate', sized(maxBodyBytes))).allowed);
  const response = await post('/validate', sized(maxBodyBytes + 1));
  t.is(response.status, 413);
  t.regex(await response.text(), /^The review is larger than 7 MiB, or .* Make the object smaller/);
});

test('while a write is waited for, the object is not kept', async (t) => {
  const { promise, resolve } = Promise.withResolvers<'written'>();
  let held: WeakRef<object> | undefined;
  const view = fakeView();
  const app = createAdmissionApp({ view, remember: () => promise, log: fakeLog(), writeBudgetMs: 60_000 });
  // What the parser made is caught on its way in.
  const server = createServer((request, response) => {
    Object.defineProperty(request, 'body', {
      configurable: true,
      enumerable: true,
      set(body: object | undefined) {
        if (body) held = new WeakRef(body);
        Object.defineProperty(request, 'body', { value: body, writable: true });
      },
    });
    app(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const answered = fetch(`http://127.0.0.1:${port}/mutate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify(reviewBody({ object: mirrored })),
  });
  await until(() => held !== undefined);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  await until(() => {
    collect();
    return held?.deref() === undefined;
  });
  resolve('written');
  t.is((await answered).status, 200);
});

test('warnings are bounded and counted', async (t) => {
  const { ask, registry } = await serve(t);
  const annotations = Object.fromEntries(
    Array.from({ length: 30 }, (_, n) => [
      `mirror${'_'.repeat(n % 5)}.wallarm.com/enable${n < 5 ? '' : n % 10}`,
      'x',
    ]),
  );
  const { warnings = [] } = await ask('/mutate', reviewBody({ object: podObject({ annotations }) }));
  t.true(warnings.length > 3 && warnings.length <= 16);
  t.regex(
    await registry.metrics(),
    new RegExp(`^podmirror_admission_warnings_total ${warnings.length}$`, 'm'),
  );
});
