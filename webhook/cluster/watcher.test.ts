import test, { type ExecutionContext } from 'ava';
import { createApi } from './api.ts';
import { plainConnection } from './connection.ts';
import { type FakeApiServer, type Fault, podObject, startFakeApiServer } from './fake/apiserver.ts';
import { hastyClock } from './fake/clock.ts';
import { fakeLog } from './fake/log.ts';
import { until } from './fake/until.ts';
import { knownPodOf } from './pod.ts';
import { startWatcher, type Watcher, type WatcherTiming } from './watcher.ts';

const pods = '/api/v1/namespaces/shop/pods';

interface Scene {
  server: FakeApiServer;
  watcher: Watcher;
  names(): string[];
  log: ReturnType<typeof fakeLog>;
  /** Something made after now arrives. */
  stillHears(): Promise<void>;
}

async function scene(
  t: ExecutionContext,
  {
    timing = {},
    before = () => {},
    onUpsert = () => {},
    ...limits
  }: {
    timing?: Partial<WatcherTiming>;
    before?: (server: FakeApiServer) => void;
    onUpsert?: (name: string) => void;
    maxAnswerBytes?: number;
    maxLineBytes?: number;
  } = {},
): Promise<Scene> {
  const server = await startFakeApiServer();
  before(server);
  const log = fakeLog();
  const known = new Set<string>();
  const connection = plainConnection(server.url);
  const watcher = startWatcher({
    api: createApi({ connection, timeoutMs: 5000, ...limits }),
    path: '/api/v1/pods',
    name: 'pods',
    reduce: (object) => knownPodOf(object).name,
    handler: {
      replace(names) {
        known.clear();
        for (const name of names) known.add(name);
      },
      upsert(name) {
        onUpsert(name);
        known.add(name);
      },
      remove: (name) => void known.delete(name),
    },
    clock: hastyClock(),
    log,
    timing,
  });
  t.teardown(async () => {
    await watcher.stop();
    connection.close();
    await server.close();
  });
  let probes = 0;
  return {
    server,
    watcher,
    log,
    names: () => [...known].sort(),
    async stillHears() {
      const name = `probe-${++probes}`;
      server.put(`${pods}/${name}`, podObject({ name }));
      await until(() => known.has(name), `${name} is heard of`);
      server.remove(`${pods}/${name}`);
      await until(() => !known.has(name), `${name} is heard to be gone`);
    },
  };
}

const put = (server: FakeApiServer, ...names: string[]) => {
  for (const name of names) server.put(`${pods}/${name}`, podObject({ name }));
};
const listsOf = (server: FakeApiServer) => server.asked.filter(({ verb }) => verb === 'list').length;

test('it lists in pages, then hears of everything that comes, changes and goes', async (t) => {
  const { server, watcher, names, stillHears } = await scene(t, {
    timing: { pageSize: 2 },
    before: (server) => put(server, 'a', 'b', 'c', 'd', 'e'),
  });
  t.false(watcher.synced());
  t.is(watcher.ageMs(), Number.POSITIVE_INFINITY);
  await until(watcher.synced);
  t.deepEqual(names(), ['a', 'b', 'c', 'd', 'e']);
  t.is(listsOf(server), 3);
  server.remove(`${pods}/c`);
  await stillHears();
  t.deepEqual(names(), ['a', 'b', 'd', 'e']);
  t.true(watcher.ageMs() < 60_000);
});

test('a watch asks for bookmarks and for an end within 240 to 300 s, and goes on from the last one heard', async (t) => {
  const { server, stillHears } = await scene(t, { before: (server) => put(server, 'a') });
  await until(() => server.watches().length === 1);
  const [first] = server.watches();
  const seconds = Number(first?.asked.query.get('timeoutSeconds'));
  t.true(seconds >= 240 && seconds <= 300);
  t.is(first?.asked.query.get('allowWatchBookmarks'), 'true');
  put(server, 'b');
  first?.bookmark();
  const bookmarked = server.get(`${pods}/b`)?.metadata.resourceVersion;
  first?.end();
  await until(() => server.watches().length === 1);
  t.is(server.watches()[0]?.asked.query.get('resourceVersion'), bookmarked ?? '');
  t.is(listsOf(server), 1);
  await stillHears();
});

const breaks: [string, (server: FakeApiServer) => void][] = [
  ['the connection is reset', (server) => server.watches()[0]?.reset()],
  ['the server ends within an event', (server) => server.watches()[0]?.truncate(false)],
  ['the connection breaks within an event', (server) => server.watches()[0]?.truncate(true)],
  ['an ERROR event says 410', (server) => server.watches()[0]?.error(410, 'Expired')],
  ['an ERROR event says 500', (server) => server.watches()[0]?.error(500)],
  ['an event is no JSON', (server) => server.watches()[0]?.send('no json\n')],
  ['an event is of an unknown kind', (server) => server.watches()[0]?.send('{"type":"ODD","object":{}}\n')],
  ['all connections are cut', (server) => server.cut()],
];
for (const [what, happens] of breaks) {
  test(`it lists and watches again when ${what}`, async (t) => {
    const { server, names, stillHears } = await scene(t, { before: (server) => put(server, 'a', 'b') });
    await until(() => server.watches().length === 1);
    happens(server);
    // Missed by the old watch.
    server.remove(`${pods}/a`);
    await until(() => listsOf(server) >= 2, 'a second list');
    await stillHears();
    t.deepEqual(names(), ['b']);
  });
}

test('a resourceVersion that was compacted away is answered 410, and a list follows at once', async (t) => {
  const { server, watcher, stillHears } = await scene(t, { before: (server) => put(server, 'a') });
  await until(() => server.watches().length === 1);
  const [watch] = server.watches();
  put(server, 'b');
  watch?.hang();
  put(server, 'c');
  server.compact();
  watch?.end();
  await stillHears();
  t.true(listsOf(server) >= 1);
  t.true(watcher.synced());
});

test('a connection that falls silent is found out, and watched again without a list', async (t) => {
  const { server, watcher, names, stillHears } = await scene(t, {
    timing: { silenceMs: 200 },
    before: (server) => put(server, 'a'),
  });
  await until(() => server.watches().length === 1);
  server.watches()[0]?.hang();
  put(server, 'b');
  await until(() => names().includes('b'));
  t.true(watcher.counts.hung >= 1);
  t.is(listsOf(server), 1);
  await stillHears();
});

test('a watch that the server does not end is ended here a little later', async (t) => {
  const { server, watcher, stillHears } = await scene(t, { timing: { watchSeconds: [1, 1], graceMs: 100 } });
  await until(() => server.watches().length === 1);
  server.watches()[0]?.hang();
  await until(() => watcher.counts.hung === 1);
  await stillHears();
  t.is(watcher.counts.failures, 0);
});

const faults: [string, Fault][] = [
  ['503', { kind: 'status', code: 503 }],
  ['429 with Retry-After', { kind: 'status', code: 429, retryAfter: 1 }],
  ['403', { kind: 'status', code: 403, reason: 'Forbidden' }],
  ['a reset', { kind: 'reset' }],
  ['half an answer', { kind: 'truncated', reset: false }],
  ['half an answer and a reset', { kind: 'truncated', reset: true }],
];
for (const [what, fault] of faults) {
  test(`lists and watches that meet ${what} are tried again`, async (t) => {
    const { watcher, log, stillHears } = await scene(t, {
      before(server) {
        put(server, 'a');
        server.fault(fault, ({ verb }) => verb === 'list', 3);
        server.fault(fault, ({ verb }) => verb === 'watch', 2);
      },
    });
    await until(watcher.synced);
    await stillHears();
    t.true(watcher.counts.failures >= 3);
    // Said once, and once that it is over; not for every attempt.
    t.true(log.lines.length <= 4, log.lines.join('\n'));
  });
}

test('a slow server and one that hangs are waited for or given up, and then heard again', async (t) => {
  const { watcher, stillHears } = await scene(t, {
    timing: { requestMs: 300 },
    before(server) {
      server.fault({ kind: 'hang' }, undefined, 2);
      server.fault({ kind: 'slow', ms: 20 }, undefined, 2);
    },
  });
  await until(watcher.synced);
  await stillHears();
  t.pass();
});

test('a server that always says 410 is not asked in a tight loop', async (t) => {
  const { server, watcher } = await scene(t, {
    before: (server) => server.fault({ kind: 'status', code: 410 }, ({ verb }) => verb === 'watch', 1e9),
  });
  await until(() => watcher.counts.failures >= 4);
  t.true(listsOf(server) < 50);
});

test('a handler that throws is our bug: it is logged, and the loop goes on', async (t) => {
  const { server, watcher, log, stillHears } = await scene(t, {
    onUpsert(name) {
      if (name === 'bad') throw new Error('a bug');
    },
  });
  await until(() => server.watches().length === 1);
  put(server, 'bad');
  await stillHears();
  t.is(watcher.counts.failures, 0);
  t.regex(log.lines.join('\n'), /error pods: handling ADDED failed, which is a bug: Error: a bug/);
});

test('an object that cannot be understood is left out, and the others are not', async (t) => {
  const { server, watcher, names, log, stillHears } = await scene(t, {
    before(server) {
      put(server, 'a');
      server.put(`${pods}/odd`, { metadata: { name: 'odd' } });
    },
  });
  await until(watcher.synced);
  t.deepEqual(names(), ['a']);
  t.regex(log.lines.join('\n'), /warn pods: an object is left out: This is no pod: spec/);
  server.put(`${pods}/odd-2`, { metadata: { name: 'odd-2' } });
  await stillHears();
});

test('pages that are too large are asked for in smaller ones', async (t) => {
  const names = Array.from({ length: 40 }, (_, index) => `pod-${index}`);
  const { watcher, ...seen } = await scene(t, {
    maxAnswerBytes: 5000,
    before: (server) => put(server, ...names),
  });
  await until(watcher.synced);
  t.is(seen.names().length, 40);
});

test('behind a few large objects, pages are large again', async (t) => {
  const { server, watcher, ...seen } = await scene(t, {
    timing: { pageSize: 64 },
    maxAnswerBytes: 20_000,
    before(server) {
      const annotations = { large: 'x'.repeat(15_000) };
      for (const name of ['l1', 'l2', 'l3']) server.put(`${pods}/${name}`, podObject({ name, annotations }));
      put(server, ...Array.from({ length: 400 }, (_, index) => `pod-${index}`));
    },
  });
  await until(watcher.synced);
  t.is(seen.names().length, 403);
  t.is(watcher.counts.failures, 0);
  t.true(listsOf(server) < 60, String(listsOf(server)));
});

test('an object too large to be read, on a watch or in a list, keeps no other from being heard of', async (t) => {
  const { server, watcher, names, log, stillHears } = await scene(t, {
    timing: { watchSeconds: [1, 1] },
    maxAnswerBytes: 20_000,
    maxLineBytes: 20_000,
    before: (server) => put(server, 'a'),
  });
  await until(() => server.watches().length === 1);
  const monster = podObject({ name: 'monster', annotations: { large: '<'.repeat(30_000) } });
  server.put(`${pods}/monster`, monster);
  await stillHears();
  t.regex(log.lines.join('\n'), /warn pods: an object is too large to be read/);
  await until(() => watcher.counts.failures > 0, 'a list fails', 30_000);
  await stillHears();
  t.deepEqual(names(), ['a']);
  server.remove(`${pods}/monster`);
  await stillHears();
});

test('everything is listed again from time to time, which mends what was missed', async (t) => {
  const { server, names } = await scene(t, {
    timing: { resyncMs: [300, 400], graceMs: 100 },
    before: (server) => put(server, 'a'),
  });
  await until(() => server.watches().length === 1);
  server.watches()[0]?.hang();
  server.remove(`${pods}/a`);
  await until(() => names().length === 0);
  await until(() => listsOf(server) >= 3);
  t.pass();
});

test('a list that is wanted happens at once', async (t) => {
  const { server, watcher, stillHears } = await scene(t);
  await until(() => server.watches().length === 1);
  watcher.resync();
  await until(() => listsOf(server) === 2);
  await stillHears();
  t.is(watcher.counts.failures, 0);
});

for (const moment of ['before the first list', 'while it lists', 'while it watches', 'while it waits']) {
  test(`stop settles ${moment}, and nothing is asked afterwards`, async (t) => {
    const { server, watcher } = await scene(t, {
      before(server) {
        if (moment === 'while it lists') server.fault({ kind: 'hang' }, undefined, 100);
        if (moment === 'while it waits')
          server.fault({ kind: 'status', code: 503, retryAfter: 60 }, undefined, 100);
      },
    });
    if (moment === 'while it lists') await until(() => server.asked.length > 0);
    if (moment === 'while it watches') await until(() => server.watches().length === 1);
    if (moment === 'while it waits') await until(() => watcher.counts.failures > 0);
    await watcher.stop();
    const asked = server.asked.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    t.true(server.asked.length <= asked + 1);
    t.is(server.watches().length, 0);
    await watcher.stop();
  });
}
