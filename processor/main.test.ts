// The whole processor in a process of its own.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { createAuthority, issueLeaf } from '../certs/authority.ts';
import { sampleReport } from './coverage/fake/report.ts';
import { browserHeaders, encodeBatch } from './fake/batch.ts';
import { eventually, type FakeProcessor, makeSite, post, startProcessor } from './fake/processor.ts';
import type { Stats } from './store/store.ts';

async function begin(
  t: ExecutionContext,
  env: Record<string, string> = {},
  over: Record<string, unknown> = {},
) {
  const site = makeSite(over);
  const processor = await startProcessor(site, env);
  t.teardown(async () => {
    await processor.end('SIGKILL');
    site.remove();
  });
  return { site, processor };
}

const stats = (processor: FakeProcessor) => processor.api('/api/stats') as Promise<Stats>;
const inspected = (processor: FakeProcessor, amount: number) =>
  eventually(
    () => stats(processor),
    ({ inspected }) => inspected === amount,
  );

test('an attack that an agent saw is on record, and the ledger closes', async (t) => {
  const { site, processor } = await begin(t);
  const answer = await post(
    site,
    processor,
    encodeBatch([{ target: '/' }, { target: '/etc/passwd', status: 404 }]),
  );
  t.like(answer, { status: 200, text: '{"stored":true}' });
  t.like(await inspected(processor, 2), { received: 2, dropped: {}, pending: 0, hits: 1 });
  const { attacks } = (await processor.api('/api/attacks?type=path_traversal')) as { attacks: object[] };
  t.is(attacks.length, 1);
  t.like(attacks[0], {
    type: 'path_traversal',
    endpoint: 'GET /etc/passwd',
    status: 404,
    clientAddress: '10.0.0.1',
    hits: 1,
  });
  t.like(await processor.api('/api/attacks/1'), {
    recorded: [{ mark: { where: 'target', start: 1, end: 11 } }],
  });
  const { text } = await processor.ops('/metrics');
  t.regex(text, /^podmirror_processor_exchanges_inspected_total 2$/m);
  t.is((await processor.ops('/ready')).status, 200);
  t.is(await processor.end('SIGTERM'), 0);
});

test('the client behind a trusted proxy is on record, and what the connector block excludes is counted', async (t) => {
  const { processor, site } = await begin(
    t,
    {},
    {
      realIp: { header: 'X-Forwarded-For', trustedCIDRs: ['10.0.0.0/8'] },
      connector: {
        allowed_hosts: ['*.example'],
        input_filters: { bypass: [{ path: '\\.png$' }] },
        route_config: {
          wallarm_mode: 'block',
          wallarm_application: 7,
          routes: [{ route: '/off', wallarm_mode: 'off' }],
        },
      },
    },
  );
  const headers: [string, string][] = [...browserHeaders, ['X-Forwarded-For', '1.1.1.1, 203.0.113.9']];
  await post(
    site,
    processor,
    encodeBatch([
      { target: '/etc/passwd', headers },
      { target: '/etc/passwd.png', headers },
      { target: '/off/etc/passwd', headers },
      { target: '/off/../etc/passwd', headers },
      { target: '/etc/passwd', headers: [['Host', 'other.org']] },
    ]),
  );
  t.like(await inspected(processor, 2), {
    received: 5,
    excluded: { bypassed: 1, mode_off: 1, host_not_allowed: 1 },
    dropped: {},
    pending: 0,
    hits: 2,
  });
  const { attacks } = (await processor.api('/api/attacks')) as { attacks: object[] };
  for (const attack of attacks) t.like(attack, { clientAddress: '203.0.113.9', peerAddress: '10.0.0.1' });
  t.like(await processor.api('/api/attacks/1'), {
    recorded: [
      {
        client: { address: '203.0.113.9', header: 'X-Forwarded-For' },
        connection: { clientAddress: '10.0.0.1' },
        host: 'shop.example',
        application: 7,
      },
    ],
  });
  t.regex((await processor.ops('/metrics')).text, /exchanges_excluded_total\{reason="mode_off"\} 1/);
  t.regex(processor.log(), /connector\.route_config\.wallarm_mode: block only monitors here/);
});

test('a batch that is sent again is stored once', async (t) => {
  const { site, processor } = await begin(t);
  const batch = encodeBatch([{ target: '/etc/passwd' }]);
  t.is((await post(site, processor, batch)).text, '{"stored":true}');
  t.is((await post(site, processor, batch)).text, '{"stored":false}');
  t.like(await inspected(processor, 1), { received: 1, duplicateBatches: 1, hits: 1 });
});

test('after kill -9 nothing that was acknowledged is lost, and nothing counted twice', async (t) => {
  const { site, processor } = await begin(t);
  const requests = Array.from({ length: 100 }, () => ({ target: '/etc/passwd' }));
  for (let count = 0; count < 5; count++)
    t.is((await post(site, processor, encodeBatch(requests))).status, 200);
  await processor.end('SIGKILL');
  const again = await startProcessor(site);
  t.teardown(() => again.end('SIGKILL'));
  t.like(await inspected(again, 500), { received: 500, pending: 0, hits: 500 });
});

test('only agents with a certificate of the CA and a known name may send', async (t) => {
  const { site, processor } = await begin(t);
  const batch = encodeBatch([{}]);
  await t.throwsAsync(post({ authority: site.authority }, processor, batch));
  const foreign = issueLeaf(createAuthority({ commonName: 'other', days: 1 }), {
    commonName: 'podmirror-agent',
    usages: ['client'],
    days: 1,
  });
  await t.throwsAsync(post({ ...site, client: foreign }, processor, batch));
  const stranger = issueLeaf(site.authority, { commonName: 'somebody', usages: ['client'], days: 1 });
  const answer = await post({ ...site, client: stranger }, processor, batch);
  t.is(answer.status, 403);
  t.like(JSON.parse(answer.text), { error: { code: 'agent_unknown' } });
  t.is((await stats(processor)).received, 0);
});

test('what is no batch is refused with the reason', async (t) => {
  const { site, processor } = await begin(t);
  const garbage = await post(site, processor, Buffer.from('not protobuf'));
  t.like([garbage.status, JSON.parse(garbage.text)], [400, { error: { code: 'bad_batch' } }]);
  t.is((await post(site, processor, Buffer.alloc(0))).status, 400);
  t.is((await post(site, processor, encodeBatch([{}]), 'application/json')).status, 415);
  t.is((await post(site, processor, Buffer.alloc(9 * 1024 * 1024))).status, 413);
  t.regex((await processor.ops('/metrics')).text, /batches_refused_total\{code="bad_batch"\} 2/);
});

const report = (value: unknown) => Buffer.from(JSON.stringify(value));
const postReport = (
  site: Parameters<typeof post>[0],
  processor: FakeProcessor,
  body: Buffer,
  type = 'application/json',
) => post(site, processor, body, type, '/v1/coverage');

test('what an agent tells of its coverage is in the API, and only agents may tell', async (t) => {
  const { site, processor } = await begin(t, { PODMIRROR_PROCESSOR_INGEST_MAX_BACKLOG_BYTES: '1024' });
  t.deepEqual(await processor.api('/api/coverage'), { agents: [] });
  const answer = await postReport(site, processor, report(sampleReport()));
  t.like(answer, { status: 200, text: '{"taken":true}' });
  const { agents } = (await processor.api('/api/coverage')) as { agents: { id: string }[] };
  t.like(agents, [{ node: 'node-1', client: 'podmirror-agent', silent: false }]);
  t.like(await processor.api(`/api/coverage/${agents[0]?.id}`), {
    targets: [{ tls: { decrypted: 3, processes: [{ version: 'OpenSSL 3.0.19' }, { version: 'Java' }] } }],
  });
  t.regex((await processor.ops('/metrics')).text, /^podmirror_processor_agents\{state="heard"\} 1$/m);

  const stranger = issueLeaf(site.authority, { commonName: 'somebody', usages: ['client'], days: 1 });
  t.is((await postReport({ ...site, client: stranger }, processor, report(sampleReport()))).status, 403);
  await t.throwsAsync(postReport({ authority: site.authority }, processor, report(sampleReport())));
});

test('what is no coverage, or too much of it, is refused with the reason and counted', async (t) => {
  const { site, processor } = await begin(t);
  const bad = await postReport(site, processor, report({ ...sampleReport(), node: 7 }));
  t.is(bad.status, 400);
  t.like(JSON.parse(bad.text), { error: { code: 'bad_report' } });
  t.regex(bad.text, /node: /);
  t.is((await postReport(site, processor, Buffer.alloc(0))).status, 400);
  t.is((await postReport(site, processor, report(sampleReport()), 'application/x-protobuf')).status, 415);
  const large = await postReport(site, processor, Buffer.alloc(1024 * 1024 + 1, ' '));
  t.is(large.status, 413);
  t.like(JSON.parse(large.text), { error: { code: 'report_too_large' } });
  t.deepEqual(await processor.api('/api/coverage'), { agents: [] });
  const { text } = await processor.ops('/metrics');
  t.regex(text, /^podmirror_processor_reports_refused_total\{code="bad_report"\} 2$/m);
  t.regex(text, /^podmirror_processor_reports_refused_total\{code="report_too_large"\} 1$/m);
  t.notRegex(text, /^podmirror_processor_batches_refused_total\{/m);
});

test('new certificates are used without a restart, bad ones are not', async (t) => {
  const { site, processor } = await begin(t, { PODMIRROR_PROCESSOR_INGEST_RELOAD_INTERVAL_MS: '200' });
  const authority = createAuthority({ commonName: 'next CA', days: 1 });
  const server = issueLeaf(authority, {
    commonName: 'processor',
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
    days: 1,
  });
  const client = issueLeaf(authority, { commonName: 'podmirror-agent', usages: ['client'], days: 1 });
  const write = (name: string, pem: string) => {
    writeFileSync(join(site.folder, 'new'), pem);
    renameSync(join(site.folder, 'new'), join(site.folder, `${name}.pem`));
  };
  write('certFile', 'not a certificate');
  await eventually(
    async () => processor.log(),
    (log) => log.includes('the old pair stays in use'),
  );
  t.is((await post(site, processor, encodeBatch([{}]))).status, 200);
  write('caFile', authority.cert);
  write('keyFile', server.key);
  write('certFile', server.cert);
  await eventually(
    async () => processor.log(),
    (log) => log.includes('new certificates are in use'),
  );
  t.is((await post({ authority, client }, processor, encodeBatch([{}]))).status, 200);
  await t.throwsAsync(post(site, processor, encodeBatch([{}])));
});

test('a full disk is answered with 503, told and survived', async (t) => {
  const site = makeSite();
  const disk = join(site.folder, 'disk');
  mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'pipe' });
  } catch (error) {
    site.remove();
    t.log(`skipped: no tmpfs can be mounted here (${(error as Error).message.trim()})`);
    return t.pass();
  }
  const small = makeSite({}, disk);
  const processor = await startProcessor(small);
  t.teardown(async () => {
    await processor.end('SIGKILL');
    execFileSync('umount', ['-l', disk]);
    site.remove();
    small.remove();
  });
  const filler = join(disk, 'filler');
  const send = () =>
    post(
      small,
      processor,
      encodeBatch([{ target: '/etc/passwd', body: randomBytes(20_000).toString('latin1') }]),
    );

  t.is((await send()).status, 200);
  await inspected(processor, 1);
  t.throws(() => writeFileSync(filler, Buffer.alloc(1024 * 1024)), { code: 'ENOSPC' });
  const accepted = 1 + (await sendUntilRefused(send, t));
  t.is((await processor.ops('/ready')).status, 503);
  t.regex(processor.log(), /write store: the disk (is full|does not take writes).*Make space on its disk/);

  rmSync(filler);
  await eventually(
    () => processor.ops('/ready'),
    ({ status }) => status === 200,
  );
  t.is((await send()).status, 200);
  t.like(await inspected(processor, accepted + 1), { received: accepted + 1, pending: 0 });
});

/** How many were accepted before the refusal. */
async function sendUntilRefused(send: () => ReturnType<typeof post>, t: ExecutionContext): Promise<number> {
  for (let accepted = 0; accepted < 100; accepted++) {
    const { status, retryAfter } = await send();
    if (status === 200) continue;
    t.deepEqual([status, retryAfter], [503, '10']);
    return accepted;
  }
  throw new Error('never refused');
}

test('a backlog over its bound is answered with 429', async (t) => {
  const { site, processor } = await begin(t, { PODMIRROR_PROCESSOR_INGEST_MAX_BACKLOG_BYTES: '1024' });
  const heavy = Array.from({ length: 3 }, () =>
    encodeBatch(Array.from({ length: 1500 }, () => ({ target: '/' }))),
  );
  const send = (batch: Buffer = Buffer.alloc(0)) => post(site, processor, batch);
  const answers = [await send(heavy[0]), await send(heavy[1])];
  t.deepEqual(
    answers.map(({ status }) => status),
    [200, 429],
  );
  t.is(answers[1]?.retryAfter, '2');
  await inspected(processor, 1500);
  t.is((await send(heavy[2])).status, 200);
});

test('a configuration that is wrong ends the start with all that is wrong', async (t) => {
  const site = makeSite({ store: {}, api: { token: 'short' } });
  t.teardown(site.remove);
  const error = await t.throwsAsync(startProcessor(site));
  t.regex(
    error.message,
    /ended with 1: .*api\.token: it is less than 16 characters\. Write 16.*\nstore\.file: it is missing\. Write the file/s,
  );
});

test('missing rules end the start with what to do', async (t) => {
  const site = makeSite({ inspection: { crsFolder: '/nonexistent' } });
  t.teardown(site.remove);
  await t.throwsAsync(startProcessor(site), {
    message: /load rules from \/nonexistent: .* Run processor\/rules\/crs\.sh/,
  });
});

test('a folder with rules beside the store is left alone, and nothing stays of our own', async (t) => {
  const site = makeSite();
  const file = join(site.folder, 'rules', 'mine.conf');
  mkdirSync(join(site.folder, 'rules'));
  writeFileSync(file, 'keep me');
  const processor = await startProcessor(site);
  t.teardown(site.remove);
  const rulesIn = () => readdirSync(site.folder).filter((name) => name.includes('rules'));
  t.is(rulesIn().length, 2);
  t.is(await processor.end('SIGTERM'), 0);
  t.deepEqual(rulesIn(), ['rules']);
  t.is(readFileSync(file, 'utf8'), 'keep me');
});

test('a configuration file that is not there ends the start with what to do', async (t) => {
  await t.throwsAsync(startProcessor({ configFile: '/nonexistent.yaml' }), {
    message: /read configuration \/nonexistent\.yaml: ENOENT.*\. Give the path of a YAML file/,
  });
});
