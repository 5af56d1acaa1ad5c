/** The agent's process on this machine, without a processor: what it prints, what it refuses, what it leaves behind. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { type AgentProgram, openAgent, runAgent } from '../harness/agent-program.ts';
import { buildBpfPrograms } from '../harness/bpf-programs.ts';
import { assertClosed, openCgroup, openNginx } from '../harness/capture.ts';
import { belowMount } from '../harness/cgroup.ts';
import { compare, describeDifference, isEmpty } from '../harness/compare.ts';
import { temporaryDirectory } from '../harness/directory.ts';
import { factOfSent, factsOfLog } from '../harness/facts.ts';
import { runLoad } from '../harness/load.ts';
import { planMix } from '../harness/mix.ts';
import { sendNumbered } from '../harness/numbered.ts';
import { factOfLine, idOfLine, parseLines } from '../harness/printed.ts';
import { seededRandom } from '../harness/random.ts';
import { rootTest } from '../harness/root-test.ts';
import { sendAll } from '../harness/traffic.ts';
import { until } from '../harness/until.ts';

const MIXED_REQUESTS = 800;
const SEED = 11;
const STACK = /\n\s+at /;
const ANY_PORTS = { health: '127.0.0.1:0', metrics: '127.0.0.1:0' };

async function nginxInCgroup(t: ExecutionContext) {
  const cgroup = openCgroup(t);
  const nginx = await openNginx(t, { cgroup });
  const directory = temporaryDirectory(t);
  const printer = { directory, cgroup: cgroup.path, name: 'web', processorPort: null };
  return { cgroup, nginx, directory, printer };
}

/** Ends the agent and gives the lines that it wrote in its life. */
async function linesOf(t: ExecutionContext, agent: AgentProgram) {
  agent.signal('SIGTERM');
  t.is(await agent.ended, 0, agent.stderr());
  t.notRegex(agent.stderr(), STACK);
  return parseLines(agent.stdout());
}

rootTest(
  '--print writes the same requests as nginx logs, and ends with an account that closes',
  async (t) => {
    const { nginx, printer } = await nginxInCgroup(t);
    // Room enough, as in differential.test.ts.
    const agent = await openAgent(t, { ...printer, more: { limits: { ringBytes: 64 << 20 } } });
    const plans = planMix({ random: seededRandom(SEED), requests: MIXED_REQUESTS });
    const sent = await sendAll(plans, { port: nginx.port, seed: SEED, concurrency: 16 });
    const ledger = await agent.ledgerWhen(
      ({ delivered, inFlight }) => delivered === sent.length && inFlight === 0,
    );
    assertClosed(t, ledger);
    t.is(ledger.exchanges.delivered, sent.length);

    const lines = await linesOf(t, agent);
    const printed = lines.map(factOfLine);
    const logged = factsOfLog(await nginx.accessLog(sent.length), nginx.upstreamLog());
    const toLog = compare(logged, printed);
    t.true(isEmpty(toLog), `nginx's log against the lines: ${describeDifference(toLog)}`);
    const toClient = compare(sent.map(factOfSent), printed);
    t.true(isEmpty(toClient), `the client against the lines: ${describeDifference(toClient)}`);
    t.deepEqual(new Set(lines.map(({ workload }) => workload.name)), new Set(['web']));
    // A body over the cap is cut and says so; nothing else may be amiss.
    t.deepEqual([...new Set(lines.flatMap(({ flags }) => flags))], ['body_truncated']);
    const account = `captured ${sent.length} = delivered ${sent.length} + dropped 0 + in flight 0; no byte lost`;
    t.true(agent.stderr().trimEnd().endsWith(account), agent.stderr());
  },
);

rootTest(
  'two agents on one target see all of it each, and one ends without disturbing the other',
  async (t) => {
    const { nginx, printer } = await nginxInCgroup(t);
    const [first, second] = [await openAgent(t, printer), await openAgent(t, printer)];
    const early = await sendNumbered(nginx.port, { requests: 300, prefix: 'early' });
    await Promise.all([first, second].map((agent) => agent.ledgerWhen(({ delivered }) => delivered === 300)));
    const firstLines = await linesOf(t, first);
    const late = await sendNumbered(nginx.port, { requests: 300, prefix: 'late' });
    assertClosed(t, await second.ledgerWhen(({ delivered }) => delivered === 600));

    t.deepEqual(firstLines.map(idOfLine).sort(), early.sort());
    t.deepEqual((await linesOf(t, second)).map(idOfLine).sort(), [...early, ...late].sort());
  },
);

rootTest('kill -9 of the agent under load leaves no BPF program, and no client notices', async (t) => {
  const { cgroup, nginx, printer } = await nginxInCgroup(t);
  const programs = buildBpfPrograms();
  t.teardown(() => programs.remove());
  const agent = await openAgent(t, printer);
  const attached = programs.attached(cgroup.path);
  t.true(attached.length >= 2, 'ingress and egress are attached while it lives');

  const load = runLoad(`http://127.0.0.1:${nginx.port}/1k.txt`, 2);
  const { exchanges } = await agent.ledgerWhen(({ captured }) => captured > 1000, 1500);
  t.true(exchanges.captured > 1000, 'it is at work');
  agent.signal('SIGKILL');
  t.is(await agent.ended, null);
  // The kernel frees a program a moment after the last reference to it is gone.
  t.truthy(await until(() => programs.attached(cgroup.path).length === 0), 'nothing is attached');
  t.truthy(
    await until(() => !programs.loaded().some((id) => attached.includes(id))),
    'what was attached is no longer loaded',
  );
  const { requests, failures } = await load;
  t.true(requests > 100);
  t.is(failures, 0);

  const again = await openAgent(t, printer);
  const ids = await sendNumbered(nginx.port, { requests: 20 });
  await again.ledgerWhen(({ delivered }) => delivered === 20);
  t.deepEqual((await linesOf(t, again)).map(idOfLine).sort(), ids.sort());
});

rootTest('a kernel that shows no BTF is mirrored all the same', async (t) => {
  const { nginx, printer } = await nginxInCgroup(t);
  const hidden = 'mount -t tmpfs none /sys/kernel/btf && test ! -e /sys/kernel/btf/vmlinux && exec "$@"';
  const agent = await openAgent(t, { ...printer, wrapper: ['unshare', '-m', 'sh', '-c', hidden, 'sh'] });
  const ids = await sendNumbered(nginx.port, { requests: 5 });
  assertClosed(t, await agent.ledgerWhen(({ delivered }) => delivered === 5));
  t.deepEqual((await linesOf(t, agent)).map(idOfLine).sort(), ids.sort());
});

const without = (...names: string[]) => [
  'setpriv',
  `--bounding-set=${names.map((name) => `-${name}`).join(',')}`,
];

for (const { title, wrapper, lacks } of [
  { title: 'no capability at all', wrapper: without('all'), lacks: 'CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF' },
  { title: 'no CAP_BPF', wrapper: without('bpf', 'sys_admin'), lacks: 'CAP_BPF' },
  { title: 'no CAP_PERFMON', wrapper: without('perfmon', 'sys_admin'), lacks: 'CAP_PERFMON' },
  // The kernel asks for it as late as at the first attachment.
  { title: 'no CAP_NET_ADMIN', wrapper: without('net_admin', 'sys_admin'), lacks: 'CAP_NET_ADMIN' },
]) {
  rootTest(`${title} ends the agent with 69, and it says what is missing and how to grant it`, async (t) => {
    const { cgroup } = await nginxInCgroup(t);
    // One that other users may read.
    const config = join(temporaryDirectory(t, 0o755), 'podmirror.yaml');
    writeFileSync(config, stringify({ targets: [{ cgroup: belowMount(cgroup.path) }], listen: ANY_PORTS }));
    const agent = runAgent(t, config, { print: true, wrapper });
    await until(() => !agent.running(), { timeoutMs: 5000 });
    t.false(agent.running(), `it runs on:\n${agent.stderr()}`);
    if (agent.running()) return;
    t.is(await agent.ended, 69);
    const message = `^podmirror: start the capture \\(NO_CAPABILITY\\): .* This process lacks ${lacks}\\. Run it as root, or grant them .*\\n$`;
    t.regex(agent.stderr(), new RegExp(message));
    t.notRegex(agent.stderr(), STACK);
    t.is(agent.stdout(), '');
  });
}

for (const { title, mistake, message } of [
  {
    title: 'a misspelt key',
    mistake: ['unit: nginx.service', 'unti: nginx.service'],
    message: /podmirror\.yaml:5: targets\[0\]\.unti: no such key\. Write unit:\./,
  },
  {
    title: 'a number as text',
    mistake: ['resolveIntervalMs: 2000', 'resolveIntervalMs: often'],
    message:
      /podmirror\.yaml:\d+: resolveIntervalMs: "often" is not a (?:whole )?number\. Write milliseconds, such as 2000\./,
  },
  {
    title: 'a processor without TLS',
    mistake: ['url: https:', 'url: http:'],
    message:
      /podmirror\.yaml:\d+: processor\.url: "http:\/\/127\.0\.0\.1:8443": not https\. Write the address of the processor, such as https:/,
  },
  {
    title: 'broken YAML',
    mistake: ['targets:', 'targets: [}'],
    message: /podmirror\.yaml:\d+: /,
  },
] as const) {
  rootTest(
    `${title} in the example configuration ends the agent with 78, the line and what to write`,
    async (t) => {
      const example = readFileSync(new URL('../../agent/podmirror.example.yaml', import.meta.url), 'utf8');
      const [right, wrong] = mistake;
      const config = join(temporaryDirectory(t), 'podmirror.yaml');
      const text = example.replace(right, wrong);
      t.not(text, example);
      writeFileSync(config, text);
      const agent = runAgent(t, config);
      t.is(await agent.ended, 78);
      t.regex(agent.stderr(), message);
      t.notRegex(agent.stderr(), STACK);
      t.is(agent.stdout(), '');
    },
  );
}
