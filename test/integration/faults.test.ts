/** Agent and processor as two processes over mTLS, while things go wrong between them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { createAuthority, issueLeaf } from '../../certs/authority.ts';
import type { Exchange } from '../../processor/exchange.ts';
import type { Stats } from '../../processor/store/store.ts';
import type { AgentProgram } from '../harness/agent-program.ts';
import { assertClosed } from '../harness/capture.ts';
import { type NumberedOptions, sendNumbered } from '../harness/numbered.ts';
import { openPlace, type Place, type RunningProcessor, TARGET } from '../harness/place.ts';
import { startProxy } from '../harness/proxy.ts';
import { rootTest } from '../harness/root-test.ts';
import { runTool } from '../harness/run-tool.ts';
import { mountSmallDisk } from '../harness/small-disk.ts';
import { until } from '../harness/until.ts';

const HOSTILE = (n: number) => `/file-${n}/etc/passwd`;

/** How often a log says something. */
const count = (log: string, pattern: RegExp) => log.match(new RegExp(pattern, 'g'))?.length ?? 0;

/** All of `exchanges` reached the processor, and both sides say so. */
async function assertDelivered(
  t: ExecutionContext,
  { agent, processor, exchanges }: { agent: AgentProgram; processor: RunningProcessor; exchanges: number },
): Promise<Stats> {
  const ledger = await agent.ledgerWhen(({ delivered }) => delivered === exchanges, 40_000);
  assertClosed(t, ledger);
  t.is(ledger.exchanges.delivered, exchanges, agent.stderr());
  t.deepEqual(ledger.exchanges.dropped, {});
  const stats = await processor.statsWhen(({ received, pending }) => received === exchanges && pending === 0);
  t.like(stats, { received: exchanges, inspected: exchanges, dropped: {}, pending: 0 });
  return stats;
}

/** SIGTERM, an end in time and in order, and the account as the last line. */
async function assertEnds(t: ExecutionContext, agent: AgentProgram, account: string): Promise<void> {
  const begin = performance.now();
  agent.signal('SIGTERM');
  t.is(await agent.ended, 0, agent.stderr());
  t.true(performance.now() - begin < 5000, 'it ends in time');
  t.true(agent.stderr().trimEnd().endsWith(`ledger: ${account}; no byte lost`), agent.stderr());
  t.notRegex(agent.stderr(), /\n\s+at /);
}

/** X-Id of every recorded hit; read from the file, for the API shows the newest ones only. */
function recordedIds(storeFile: string): string[] {
  const db = new DatabaseSync(storeFile, { readOnly: true });
  try {
    return db
      .prepare('SELECT exchange FROM hit')
      .all()
      .map(({ exchange }) => {
        const { request } = JSON.parse(String(exchange)) as Exchange;
        return request.headers.find(({ name }) => name === 'X-Id')?.value ?? '';
      });
  } finally {
    db.close();
  }
}

const send = ({ nginx }: Place, options: NumberedOptions) => sendNumbered(nginx.port, options);

rootTest('what nginx serves arrives over mTLS, and GET /etc/passwd is on record as an attack', async (t) => {
  const place = await openPlace(t);
  const processor = await place.startProcessor();
  const agent = await place.openAgent();
  const base = `http://127.0.0.1:${place.nginx.port}`;
  for (const args of [
    [`${base}/1k.txt`],
    ['-d', '{"sku":"A-17"}', '-H', 'Content-Type: application/json', `${base}/upload/orders`],
    ['--path-as-is', `${base}/etc/passwd`],
    [`${base}/text?q=red+shoes`],
  ]) {
    await runTool('curl', ['-sS', '-o', '/dev/null', ...args]);
  }

  const stats = await assertDelivered(t, { agent, processor, exchanges: 4 });
  t.is(stats.hits, 1);
  const { attacks } = (await processor.api('/api/attacks')) as { attacks: object[] };
  t.is(attacks.length, 1);
  t.like(attacks[0], {
    type: 'path_traversal',
    endpoint: 'GET /etc/passwd',
    path: '/etc/passwd',
    status: 404,
    clientAddress: '127.0.0.1',
    target: { name: TARGET },
    hits: 1,
  });
  t.like(await processor.api('/api/attacks/1'), {
    recorded: [{ mark: { where: 'target', start: 1, end: 11 } }],
  });
  t.deepEqual(await agent.readiness(), { status: 200, reasons: [] });
  await assertEnds(t, agent, 'captured 4 = delivered 4 + dropped 0 + in flight 0');
  t.is(await processor.end('SIGTERM'), 0);
});

rootTest('what was captured before the processor started is delivered once it does', async (t) => {
  const place = await openPlace(t);
  const agent = await place.openAgent();
  await send(place, { requests: 200, prefix: 'absent' });
  t.true(await agent.logs(/ECONNREFUSED.*\. Start the processor, or correct processor\.url/), agent.stderr());
  t.truthy(await until(async () => (await agent.failedAttempts()) >= 3));
  const { status, reasons } = await agent.readiness();
  t.is(status, 503);
  t.regex(reasons.join(), /Start the processor, or correct processor\.url/);

  const processor = await place.startProcessor();
  await send(place, { requests: 50, prefix: 'present' });
  await assertDelivered(t, { agent, processor, exchanges: 250 });
  t.is(count(agent.stderr(), / warn /), 1, agent.stderr());
  t.is(count(agent.stderr(), /delivering to https:/), 1, agent.stderr());
  t.deepEqual(await agent.readiness(), { status: 200, reasons: [] });
});

rootTest(
  'a processor killed with -9 in mid-traffic loses nothing that it took, and stores nothing twice',
  async (t) => {
    const requests = 900;
    const place = await openPlace(t);
    let processor = await place.startProcessor();
    const agent = await place.openAgent();
    const sending = send(place, { requests, target: HOSTILE, pauseMs: 15 });
    for (let kills = 0; kills < 3; kills++) {
      const { received } = await processor.stats();
      // A batch that three processes died of would be taken for the reason: what this one found is behind it by then.
      await processor.statsWhen((stats) => stats.received > received + 50 && stats.inspected >= received);
      await processor.end('SIGKILL');
      processor = await place.startProcessor();
    }
    const ids = await sending;

    const stats = await assertDelivered(t, { agent, processor, exchanges: requests });
    t.log(`${stats.batches} batches, ${stats.duplicateBatches} of them sent again`);
    t.is(stats.hits, requests);
    t.is(await processor.end('SIGTERM'), 0);
    t.deepEqual(recordedIds(place.storeFile).sort(), ids.sort());
    t.true(agent.running());
    // Each absence is told at most once, and its end too.
    t.true(count(agent.stderr(), / warn /) <= 6, agent.stderr());
  },
);

rootTest('a batch whose answer is lost on the way is sent again, and counted once', async (t) => {
  const place = await openPlace(t);
  const processor = await place.startProcessor();
  const proxy = await startProxy(processor.ingestPort);
  t.teardown(() => proxy.close());
  const agent = await place.openAgent({ processorPort: proxy.port });
  await send(place, { requests: 10, prefix: 'first' });
  await agent.ledgerWhen(({ delivered }) => delivered === 10);

  proxy.holdAnswers();
  await send(place, { requests: 10, prefix: 'second', target: HOSTILE });
  await processor.statsWhen(({ received }) => received > 10);
  t.is((await agent.ledger()).exchanges.delivered, 10, 'the agent has not heard of it');
  proxy.cut();

  const stats = await assertDelivered(t, { agent, processor, exchanges: 20 });
  t.true(stats.duplicateBatches >= 1);
  t.is(stats.hits, 10);
});

rootTest('SIGTERM of the agent delivers what waits for a processor that is slow to answer', async (t) => {
  const place = await openPlace(t);
  const processor = await place.startProcessor();
  const agent = await place.openAgent();
  process.kill(processor.child.pid ?? 0, 'SIGSTOP');
  await send(place, { requests: 300 });
  const ended = assertEnds(t, agent, 'captured 300 = delivered 300 + dropped 0 + in flight 0');
  await sleep(500);
  t.true(agent.running(), 'it waits for the answers');
  process.kill(processor.child.pid ?? 0, 'SIGCONT');
  await ended;
  t.like(await processor.statsWhen(({ pending }) => pending === 0), { received: 300, inspected: 300 });
});

interface Strangers {
  title: string;
  /** Spoils the agent's side of the place. */
  spoil(directory: string): void;
  message: RegExp;
  /** What the processor's log says about it; a refusal over HTTP is counted, not logged. */
  refusal?: RegExp;
}

const stranger = () => createAuthority({ commonName: 'another CA', days: 1 });

const STRANGERS: readonly Strangers[] = [
  {
    title: 'an agent certificate of another CA',
    spoil(directory) {
      const leaf = issueLeaf(stranger(), { commonName: 'podmirror-agent', usages: ['client'], days: 1 });
      writeFileSync(join(directory, 'agent.crt'), leaf.cert);
      writeFileSync(join(directory, 'agent.key'), leaf.key);
    },
    message:
      /Have the processor's CA issue this agent's certificate \(processor\.cert\), for client authentication/,
    refusal:
      /refused a connection.*: the client's certificate is not accepted .*Have the CA in ingest\.caFile issue it/,
  },
  {
    title: 'an agent whose name the processor does not know',
    spoil(directory) {
      const authority = {
        cert: readFileSync(join(directory, 'ca.crt'), 'utf8'),
        key: readFileSync(join(directory, 'ca.key'), 'utf8'),
      };
      const leaf = issueLeaf(authority, { commonName: 'somebody', usages: ['client'], days: 1 });
      writeFileSync(join(directory, 'agent.crt'), leaf.cert);
      writeFileSync(join(directory, 'agent.key'), leaf.key);
    },
    message:
      /status 403 \(The client certificate names no agent in ingest\.agents: it names somebody\)\. Write the name/,
  },
  {
    title: 'a processor certificate of another CA',
    spoil: (directory) => writeFileSync(join(directory, 'ca.crt'), stranger().cert),
    message: /Write the CA that issued the processor's certificate in processor\.ca/,
    refusal: /refused a connection.*: the client went away in the handshake\. .*processor\.ca/,
  },
];

for (const { title, spoil, message, refusal } of STRANGERS) {
  rootTest(`${title}: told once, tried again with back-off, and on the ledger at the end`, async (t) => {
    const place = await openPlace(t);
    spoil(place.directory);
    const processor = await place.startProcessor();
    const agent = await place.openAgent({ more: { shutdownGraceMs: 500 } });
    await send(place, { requests: 20 });
    t.true(await agent.logs(message), agent.stderr());
    await sleep(2500);

    // Full jitter from 200 ms on, doubling: about seven attempts of each of two batches, never hundreds.
    const attempts = await agent.failedAttempts();
    t.true(attempts >= 2 && attempts <= 60, `${attempts} attempts`);
    t.is(count(agent.stderr(), / warn /), 1, agent.stderr());
    t.regex((await agent.readiness()).reasons.join(), message);
    if (refusal) t.regex(processor.log(), refusal);
    t.is(count(processor.log(), /"level":"warn"/), refusal ? 1 : 0, processor.log());
    t.is((await processor.stats()).received, 0);
    await assertEnds(t, agent, 'captured 20 = delivered 0 + dropped 20 (shutdown 20) + in flight 0');
  });
}

rootTest('a full disk of the processor holds exchanges up in the agent and loses none', async (t) => {
  const disk = mountSmallDisk(16);
  t.teardown(() => disk.remove());
  const place = await openPlace(t, { storeFolder: disk.directory });
  const processor = await place.startProcessor();
  const agent = await place.openAgent();
  await send(place, { requests: 10, prefix: 'before' });
  await agent.ledgerWhen(({ delivered }) => delivered === 10);

  disk.fill();
  // Long enough that what SQLite has in reserve cannot take it.
  const long = (n: number) => `/text?n=${n}&${'x'.repeat(3000)}`;
  await send(place, { requests: 400, prefix: 'full', target: long });
  t.true(await agent.logs(/status 503 .*takes no more just now; batches wait here.*disk/), agent.stderr());
  t.regex(processor.log(), /write store: the disk is full .*Make space on its disk/);
  t.is((await processor.ops('/ready')).status, 503);
  const { exchanges } = await agent.ledger();
  t.deepEqual(exchanges.dropped, {});
  t.true(exchanges.inFlight > 0);
  t.is((await agent.readiness()).status, 503);

  disk.free();
  await assertDelivered(t, { agent, processor, exchanges: 410 });
  t.is((await processor.ops('/ready')).status, 200);
  t.is((await agent.readiness()).status, 200);
  t.is(count(agent.stderr(), / warn /), 1, agent.stderr());
  t.is(count(processor.log(), /the disk is full/), 1, processor.log());
  t.is(await processor.end('SIGTERM'), 0);
});
