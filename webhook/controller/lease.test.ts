import test, { type ExecutionContext } from 'ava';
import { createApi } from '../cluster/api.ts';
import type { Clock } from '../cluster/clock.ts';
import { plainConnection } from '../cluster/connection.ts';
import { type Asked, type FakeApiServer, startFakeApiServer } from '../cluster/fake/apiserver.ts';
import { fakeLog } from '../cluster/fake/log.ts';
import { until } from '../cluster/fake/until.ts';
import { type Lease, startLease } from './lease.ts';

// A lease of 1.5 s instead of 15 s, everything else in proportion.
const timing = { leaseMs: 1500, renewMs: 1000, retryMs: 100 };
const path = '/apis/coordination.k8s.io/v1/namespaces/podmirror/leases/podmirror-webhook';

const clockFrom = (offset: number | (() => number)): Clock => ({
  now: () => performance.now() + (typeof offset === 'number' ? offset : offset()),
  random: Math.random,
  sleep(ms, signal) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const wake = () => {
      clearTimeout(timer);
      resolve();
    };
    if (signal?.aborted) wake();
    signal?.addEventListener('abort', wake, { once: true });
    return promise;
  },
});

interface Contender {
  lease: Lease;
  leads: () => boolean;
  terms: () => number;
}

/** Fails the test when two lead at the same time. */
async function scene(t: ExecutionContext) {
  const server = await startFakeApiServer();
  t.teardown(server.close);
  const leaders = new Set<string>();
  const log = fakeLog();
  const contender = (
    identity: string,
    { skewMs = 0, clock = clockFrom(skewMs) }: { skewMs?: number; clock?: Clock } = {},
  ): Contender => {
    let terms = 0;
    const lease = startLease({
      api: createApi({ connection: plainConnection(server.url), userAgent: identity }),
      namespace: 'podmirror',
      identity,
      async lead(signal) {
        t.is(leaders.size, 0, `${identity} leads beside ${[...leaders]}`);
        leaders.add(identity);
        terms += 1;
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        leaders.delete(identity);
      },
      clock,
      wallClock: () => Date.now() + skewMs,
      log,
      timing,
    });
    t.teardown(() => lease.stop());
    return { lease, leads: () => leaders.has(identity), terms: () => terms };
  };
  return { server, contender, log };
}

const by =
  (identity: string) =>
  ({ headers }: Asked) =>
    headers['user-agent'] === identity;

const specIn = (server: FakeApiServer) => server.get(path)?.spec as Record<string, unknown>;

for (const skewMs of [0, 3_600_000, -3_600_000]) {
  test(`one of two leads and the other does not, with clocks ${skewMs / 1000} s apart`, async (t) => {
    const { contender } = await scene(t);
    const a = contender('a');
    await until(a.leads);
    const b = contender('b', { skewMs });
    await new Promise((resolve) => setTimeout(resolve, 2500));
    t.true(a.lease.isLeader());
    t.false(b.lease.isLeader());
    t.is(b.lease.holder(), 'a');
    t.is(a.terms(), 1);
  });
}

test('two that begin together never both lead', async (t) => {
  const { contender } = await scene(t);
  const [a, b] = [contender('a'), contender('b')];
  await until(() => a.leads() || b.leads());
  await new Promise((resolve) => setTimeout(resolve, 500));
  t.not(a.lease.isLeader(), b.lease.isLeader());
});

test('who stops releases it, and another leads without waiting for its end', async (t) => {
  const { server, contender } = await scene(t);
  const a = contender('a');
  await until(a.leads);
  t.like(specIn(server), { holderIdentity: 'a', leaseDurationSeconds: 2, leaseTransitions: 0 });
  t.regex(String(specIn(server).renewTime), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  const b = contender('b');
  await a.lease.stop();
  t.like(specIn(server), { leaseDurationSeconds: 1 });
  t.false(a.lease.isLeader());
  await until(b.leads);
  t.like(specIn(server), { holderIdentity: 'b', leaseTransitions: 1 });
});

test('a leader that cannot renew gives up before another begins', async (t) => {
  const { server, contender } = await scene(t);
  const a = contender('a');
  await until(a.leads);
  const b = contender('b');
  await until(() => b.lease.holder() === 'a');
  server.fault({ kind: 'hang' }, by('a'), 1e9);
  await until(b.leads);
  t.false(a.lease.isLeader());
  server.heal();
  await until(() => a.lease.holder() === 'b');
  t.false(a.leads());
});

test('a leader whose server refuses for a moment goes on leading', async (t) => {
  const { server, contender, log } = await scene(t);
  const a = contender('a');
  await until(a.leads);
  server.fault({ kind: 'status', code: 503 }, by('a'), 2);
  server.fault({ kind: 'reset' }, by('a'), 1);
  await until(() => log.lines.some((line) => line.includes('again')));
  t.true(a.leads());
  t.is(a.terms(), 1);
});

test('a renewal whose answer is lost is no reason to stop', async (t) => {
  const { server, contender } = await scene(t);
  const a = contender('a');
  await until(a.leads);
  server.fault({ kind: 'lost-answer' }, ({ verb }) => verb === 'update');
  const asked = server.asked.length;
  await until(() => server.asked.length > asked + 6);
  t.true(a.leads());
  t.is(a.terms(), 1);
});

test('a renewal that was applied without an answer is renewed at once, not at the next time', async (t) => {
  const { server, contender } = await scene(t);
  let next = Promise.resolve();
  const usual = clockFrom(0);
  const clock = {
    ...usual,
    sleep: (ms: number, signal?: AbortSignal) => next.then(() => usual.sleep(ms, signal)),
  };
  const a = contender('a', { clock });
  await until(a.leads);
  const never = Promise.withResolvers<void>();
  t.teardown(never.resolve);
  let asked = 0;
  server.fault({ kind: 'lost-answer' }, ({ verb }) => {
    if (verb !== 'update') return false;
    next = never.promise;
    asked = server.asked.length;
    return true;
  });
  // The client sends it again on its own, which is refused: what stands there is newer.
  await until(() => asked > 0 && server.asked.length === asked + 3);
  t.deepEqual(
    server.asked.slice(asked - 1).map(({ verb }) => verb),
    ['update', 'update', 'get', 'update'],
  );
  t.true(a.leads());
  never.resolve();
});

test('who finds that another has just made the lease waits without a word', async (t) => {
  const { server, contender, log } = await scene(t);
  const other = {
    metadata: { name: 'podmirror-webhook' },
    spec: { holderIdentity: 'other', leaseDurationSeconds: 60 },
  };
  server.fault({ kind: 'status', code: 409, reason: 'AlreadyExists' }, ({ verb }) => {
    if (verb === 'create') server.put(path, other);
    return verb === 'create';
  });
  const a = contender('a');
  await until(() => a.lease.holder() === 'other');
  t.false(a.lease.isLeader());
  t.deepEqual(log.lines, []);
});

test('a lease that somebody takes by hand is given up at once, and a deleted one is made again', async (t) => {
  const { server, contender } = await scene(t);
  const a = contender('a');
  await until(a.leads);
  const stored = server.get(path);
  server.put(path, { ...stored, spec: { ...specIn(server), holderIdentity: 'me', leaseDurationSeconds: 1 } });
  await until(() => !a.leads());
  await until(() => a.leads());
  t.is(a.terms(), 2);
  server.remove(path);
  await until(() => server.get(path));
  t.like(specIn(server), { holderIdentity: 'a' });
});

test('a leader that was stopped for long does not take itself for one when it goes on', async (t) => {
  const { contender } = await scene(t);
  let stoppedMs = 0;
  const a = contender('a', { clock: clockFrom(() => stoppedMs) });
  await until(a.leads);
  stoppedMs = 20_000;
  t.false(a.lease.isLeader());
  // It still holds the record, so it leads again once it has renewed it.
  await until(() => a.lease.isLeader() && a.leads());
});

test('a lease full of nonsense is taken over', async (t) => {
  const { server, contender } = await scene(t);
  server.put(path, {
    metadata: { name: 'podmirror-webhook' },
    spec: { holderIdentity: 7, renewTime: {}, leaseDurationSeconds: 1e12, leaseTransitions: 'many' },
  });
  const a = contender('a');
  await until(a.leads);
  t.like(specIn(server), { holderIdentity: 'a', leaseTransitions: 1 });
});
