/**
 * TLS connections that cannot be decrypted, for their suite or for a library that hands out no secrets, are read by their
 * library's calls: while there are any, none twice, and never wrong.
 */
import type { ExecutionContext } from 'ava';
import type { CaptureOptions } from '../../bpf/index.d.ts';
import { assertClosed, openCapture } from '../harness/capture.ts';
import { headerValue } from '../harness/facts.ts';
import { programsOf } from '../harness/programs-of.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { createAccount } from '../tls/account.ts';
import { assertAllRight } from '../tls/all-right.ts';
import { untilSeen } from '../tls/attach.ts';
import { runLoad, startLoad } from '../tls/load.ts';
import { openServer, type TlsServer } from '../tls/server.ts';
import { type NginxPorts, nginx, nginxPorts } from '../tls/servers/nginx.ts';
import { CBC, suiteName } from '../tls/suites.ts';
import { alteredText } from '../tls/text.ts';
import { told } from '../tls/told.ts';

const ROOM = { ringBytes: 64 << 20, maxQueueBytes: 256 << 20 };
const LIBRARIES = /\/podmirror-test-.*\/libssl\.so/;
/** Behind the last of such connections the probes stand for 15 s; it may be looked at a second later. */
const GONE_WITHIN_MS = 20_000;

interface Sealing {
  title: string;
  server: { ownLibrary: true | 'keyless' };
  port(ports: NginxPorts): number;
  version: '1.2' | '1.3';
  why: string;
  /** Other connections to the same server are decrypted. */
  beside: boolean;
}

const SEALINGS: Sealing[] = [
  {
    title: `TLS 1.2 with ${CBC}`,
    server: { ownLibrary: true },
    port: ({ cbc }) => cbc,
    version: '1.2',
    why: `not covered: ${suiteName(CBC)}`,
    beside: true,
  },
  {
    title: 'TLS 1.3 of a library in which no key log function is found',
    server: { ownLibrary: 'keyless' },
    port: ({ aead }) => aead['AES-256-GCM'],
    version: '1.3',
    why: 'no secret was logged',
    beside: false,
  },
  {
    title: 'TLS 1.2 of a library in which no key log function is found',
    server: { ownLibrary: 'keyless' },
    port: ({ aead }) => aead['AES-128-GCM'],
    version: '1.2',
    why: 'no secret was logged',
    beside: false,
  },
];

/** A capture with an account of what is read by calls and one of the others. */
function watch(t: ExecutionContext, { cgroup }: TlsServer, options: CaptureOptions = {}) {
  const [called, decrypted] = [createAccount(), createAccount()];
  const numbers: number[] = [];
  let [last, warm] = [0, 0];
  const { capture } = openCapture(t, { ...ROOM, ...options }, (exchange) => {
    last = performance.now();
    const id = headerValue(exchange.request.headers, 'x-id') ?? '';
    if (id.startsWith('warm-')) {
      warm += 1;
      return;
    }
    if (id.startsWith('first-')) numbers.push(Number(id.split('-').at(-1)));
    called.take(exchange);
    decrypted.take(exchange);
  });
  capture.select({ cgroup: cgroup.path, identity: { name: 'tls' } });
  const quiet = async () => {
    const begin = performance.now();
    await until(() => performance.now() - Math.max(begin, last) > 700, { timeoutMs: 60_000, everyMs: 50 });
  };
  const coverage = () => {
    const [target] = capture.coverage().targets;
    if (!target) throw new Error('the target is not in coverage');
    return target;
  };
  return { capture, called, decrypted, numbers, coverage, quiet, warm: () => warm };
}

for (const { title, server: options, port, version, why, beside } of SEALINGS) {
  rootTest(
    `${title}: the first connection is read from when the probes stand, later ones are whole, then the probes go`,
    async (t) => {
      t.timeout(240_000);
      const ports = await nginxPorts();
      const server = await openServer(t, nginx(ports), options);
      const { capture, called, decrypted, numbers, coverage, quiet, warm } = watch(t, server);
      if (beside) await untilSeen(ports.aead['AES-128-GCM'], () => warm() > 0);
      else await until(() => coverage().tls.processes.some(({ library }) => library?.includes('libssl')));
      const idle = {
        altered: alteredText(server.cgroup.pids(), LIBRARIES),
        programs: programsOf(process.pid),
      };
      t.deepEqual(coverage().tls.calls, []);

      const shape = { port: port(ports), version };
      const first = { ...shape, prefix: 'first', requests: 200, connections: 1, per: 200, rate: 50 };
      called.begin('first', { called: 'late' });
      t.like(await runLoad(first), { answered: first.requests, failed: 0 });
      await quiet();
      t.log(`first: ${numbers.length} of ${first.requests}, from ${numbers[0]}`);
      t.deepEqual(called.wrong(), []);
      t.true(numbers.length > first.requests / 2, told(capture));
      t.deepEqual(
        numbers,
        Array.from({ length: numbers.length }, (_, n) => first.requests - numbers.length + n),
        'none is missing once it is read',
      );
      t.like(coverage().tls, { called: { [why]: 1 }, calledLate: 1 });
      t.regex(coverage().tls.calls.join(), /libssl/);
      t.regex(coverage().notes.join('\n'), /1 of them not from their beginning/);

      // Probes stand: nothing is missing of what begins now, be it short or long, and what can be decrypted is.
      const load = { ...shape, requests: 3000, connections: 32, per: 10, rate: 1500, slow: 40 };
      const attached = { capture, quiet };
      const decryptable = { ...load, port: ports.aead['ChaCha20-Poly1305'], version: '1.3' as const };
      const other = beside ? await startLoad({ ...decryptable, prefix: 'beside' }) : null;
      if (other) t.teardown(() => other.stop());
      decrypted.begin('beside');
      const many = { ...load, prefix: 'many' };
      await assertAllRight(t, { ...attached, account: called }, server, many, undefined, { called: true });
      const single = { ...load, prefix: 'single', requests: 500, per: 1, rate: 400 };
      await assertAllRight(t, { ...attached, account: called }, server, single, undefined, { called: true });
      if (other) {
        t.like(await other.done, { answered: load.requests, failed: 0 });
        await quiet();
        t.is(decrypted.count(), load.requests);
        t.deepEqual(decrypted.wrong(), []);
      }
      t.is(coverage().tls.calledLate, 1);
      t.deepEqual(Object.keys(coverage().tls.called), [why]);
      if (!beside) t.is(coverage().tls.decrypted, 0);

      t.truthy(
        await until(() => coverage().tls.calls.length === 0, { timeoutMs: GONE_WITHIN_MS }),
        `probes stand: ${told(capture)}`,
      );
      t.truthy(
        await until(() => programsOf(process.pid).size === idle.programs.size),
        'no program of theirs is held',
      );
      t.deepEqual(programsOf(process.pid), idle.programs);
      t.deepEqual(
        alteredText(server.cgroup.pids(), LIBRARIES),
        idle.altered,
        'no breakpoint of theirs is left',
      );
      assertClosed(t, capture.ledger());
      t.log(told(capture));

      if (beside) {
        await assertAllRight(t, { ...attached, account: decrypted }, server, {
          ...decryptable,
          prefix: 'after',
        });
        t.deepEqual(coverage().tls.calls, [], 'for what is decrypted no probe stands');
      }
    },
  );
}

rootTest(
  'a connection that says nothing for two minutes keeps no probe, and is read again when it speaks',
  async (t) => {
    t.timeout(300_000);
    const ports = await nginxPorts();
    const server = await openServer(t, nginx(ports), { ownLibrary: true });
    const { capture, called, numbers, coverage, quiet } = watch(t, server);
    called.begin('first', { called: 'late' });
    const load = await startLoad({
      port: ports.cbc,
      version: '1.2',
      prefix: 'first',
      // What the rate allowed in the silence comes at once, before the probes stand; the last come one by one.
      requests: 8000,
      connections: 1,
      per: 8000,
      hold: 100,
      rate: 50,
    });
    t.teardown(() => load.stop());
    await load.held;
    await quiet();
    const before = numbers.length;
    t.true(before > 50, told(capture));
    t.regex(coverage().tls.calls.join(), /libssl/);
    t.truthy(
      await until(() => coverage().tls.calls.length === 0, { timeoutMs: 150_000, everyMs: 500 }),
      `probes stand: ${told(capture)}`,
    );
    load.release();
    t.like(await load.done, { answered: 8000, failed: 0 });
    await quiet();
    t.log(`${before} of 100, then ${numbers.length - before} of 7900`);
    t.true(numbers.length - before > 50, told(capture));
    t.is(new Set(numbers).size, numbers.length);
    assertClosed(t, capture.ledger());
  },
);

rootTest('with tlsMode secrets calls are read of no connection, and it is said what is dark', async (t) => {
  const ports = await nginxPorts();
  const server = await openServer(t, nginx(ports), { ownLibrary: true });
  const { capture, called, coverage, quiet, warm } = watch(t, server, { tlsMode: 'secrets' });
  await untilSeen(ports.aead['AES-128-GCM'], () => warm() > 0);
  const programs = programsOf(process.pid);
  called.begin('dark');
  const load = {
    port: ports.cbc,
    version: '1.2' as const,
    requests: 400,
    connections: 4,
    per: 100,
    rate: 200,
  };
  t.like(await runLoad({ ...load, prefix: 'dark' }), { answered: load.requests, failed: 0 });
  await quiet();
  t.deepEqual([called.count(), called.wrong()], [0, []]);
  t.like(coverage().tls, { called: {}, calls: [] });
  t.is(coverage().tls.dark[`not covered: ${suiteName(CBC)}`], 4);
  t.deepEqual(programsOf(process.pid), programs);
  assertClosed(t, capture.ledger());
});
