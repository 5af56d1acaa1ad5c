// The agent as a process, with a fake addon: what a person sees, exit codes, signals.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { clientPair, fakeProcessor, silence, status } from './fake/processor.ts';

const main = new URL('main.ts', import.meta.url).pathname;
const addon = new URL('fake/addon.ts', import.meta.url).href;
const anyPort = 'listen: {health: "127.0.0.1:0", metrics: "127.0.0.1:0"}';
const targets = 'targets: [{cgroup: /none}]';

interface Run {
  child: ChildProcess;
  output: { stdout: string; stderr: string };
  /** Resolves with the exit code; null: killed by a signal. */
  ended: Promise<number | null>;
  logged(pattern: RegExp): Promise<void>;
}

function run(t: ExecutionContext, args: string[], env: Record<string, string> = {}): Run {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, PODMIRROR_ADDON: addon, FAKE_MOUNT: emptyMount, ...env },
  });
  t.teardown(() => child.kill('SIGKILL'));
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (output.stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (output.stderr += String(chunk)));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const logged = async (pattern: RegExp) => {
    while (!pattern.test(output.stderr)) await Promise.race([once(child.stderr, 'data'), failAfter(child)]);
  };
  return { child, output, ended, logged };
}

async function failAfter(child: ChildProcess): Promise<never> {
  const [code] = await once(child, 'close');
  throw new Error(`ended with ${code} before the line came`);
}

const emptyMount = mkdtempSync(join(tmpdir(), 'mount-'));
test.after.always(() => rmSync(emptyMount, { recursive: true }));

function configFile(t: ExecutionContext, yaml: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'agent-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const { cert, key, ca } = clientPair();
  for (const [name, pem] of Object.entries({ 'agent.crt': cert, 'agent.key': key, 'ca.crt': ca })) {
    writeFileSync(join(dir, name), pem);
  }
  const file = join(dir, 'podmirror.yaml');
  writeFileSync(file, yaml);
  return file;
}

const shippingTo = (url: string, more = '') =>
  `${targets}\n${anyPort}\nprocessor: {url: "${url}", ca: ca.crt, cert: agent.crt, key: agent.key}\n${more}`;

test('SIGTERM delivers what is queued, also when the processor is busy at first, and ends with the account', async (t) => {
  const processor = await fakeProcessor([status(503), status(429, { 'retry-after': '1' })]);
  t.teardown(processor.close);
  const file = configFile(t, shippingTo(processor.url));
  const { child, output, ended, logged } = run(t, ['--config', file], { FAKE_BATCHES: '5' });
  await logged(/takes no more just now/);
  child.kill('SIGTERM');
  t.is(await ended, 0);
  const taken = new Set(processor.received.map(({ body }) => body.toString('hex')));
  t.is(taken.size, 5);
  t.regex(output.stderr, /ledger: captured 10 = delivered 10 \+ dropped 0 \+ in flight 0; no byte lost\n$/);
});

test('when the processor stays away, SIGTERM ends within the grace time and books the rest as dropped', async (t) => {
  const file = configFile(t, shippingTo('https://127.0.0.1:1', 'shutdownGraceMs: 300'));
  const { child, output, ended, logged } = run(t, ['--config', file], { FAKE_BATCHES: '5' });
  await logged(/Start the processor, or correct processor\.url/);
  child.kill('SIGTERM');
  t.is(await ended, 0);
  t.regex(output.stderr, /captured 10 = delivered 0 \+ dropped 10 \(shutdown 10\) \+ in flight 0/);
  t.is(output.stderr.match(/Start the processor/g)?.length, 1, 'told once, not at each attempt');
});

test('a second signal ends the wait', async (t) => {
  const processor = await fakeProcessor([silence, silence]);
  t.teardown(processor.close);
  const file = configFile(t, shippingTo(processor.url, 'shutdownGraceMs: 600000'));
  const { child, ended, logged } = run(t, ['--config', file], { FAKE_BATCHES: '1' });
  await logged(/podmirror agent .* runs/);
  child.kill('SIGTERM');
  await new Promise((resolve) => setTimeout(resolve, 100));
  child.kill('SIGINT');
  t.is(await ended, 0);
});

test('--print writes exchanges on stdout and the log on stderr', async (t) => {
  const file = configFile(t, `${targets}\n${anyPort}\n`);
  const { child, output, ended, logged } = run(t, ['--print', '--config', file], { FAKE_BATCHES: '3' });
  await logged(/podmirror agent .* runs/);
  child.kill('SIGTERM');
  t.is(await ended, 0);
  const lines = output.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { request: { target: string } });
  t.deepEqual(
    lines.map(({ request }) => request.target),
    ['/0/0', '/0/1', '/1/0', '/1/1', '/2/0', '/2/1'],
  );
  t.regex(output.stderr, /delivered 6/);
});

test('a reader of --print that goes away ends the agent without a fault', async (t) => {
  const file = configFile(t, `${targets}\n${anyPort}\n`);
  const { child, output, ended } = run(t, ['--print', '--config', file], { FAKE_BATCHES: '2000' });
  child.stdout?.once('data', () => child.stdout?.destroy());
  t.is(await ended, 0);
  t.notRegex(output.stderr, /EPIPE|Error/);
});

test('a reader of --print that stopped reading does not hold up SIGTERM', async (t) => {
  const file = configFile(t, `${targets}\n${anyPort}\nshutdownGraceMs: 300\n`);
  const { child, output, ended } = run(t, ['--print', '--config', file], { FAKE_BATCHES: '5000' });
  child.stdout?.pause();
  await new Promise((resolve) => setTimeout(resolve, 3000));
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  t.is(code, 0);
  child.stdout?.resume();
  await ended;
  t.regex(output.stderr, /captured 10000 = delivered \d+ \+ dropped \d+ \(shutdown \d+\) \+ in flight 0/);
});

test('it tells its coverage with its node and version, and which targets are not there', async (t) => {
  const processor = await fakeProcessor();
  t.teardown(processor.close);
  const file = configFile(t, shippingTo(processor.url, 'node: here'));
  const { child, output, ended } = run(t, ['--config', file]);
  const failed = failAfter(child);
  while (processor.reports.length === 0) await Promise.race([sleep(50), failed]);
  child.kill('SIGTERM');
  t.is(await ended, 0);
  t.like(processor.reports[0], { client: 'agent', type: 'application/json' });
  const report = JSON.parse(String(processor.reports[0]?.body));
  t.like(report, { node: 'here', targets: [], exchanges: { captured: 0 }, ledgerCloses: true });
  t.regex(report.agentVersion, /^\d+\.\d+\.\d+$/);
  t.regex(report.notes.join(), /\/none/, 'a target that is not there is told');
  t.notRegex(output.stderr, /tell coverage/);
});

const refusals: {
  title: string;
  yaml?: string;
  args?: string[];
  env?: Record<string, string>;
  code: number;
  message: RegExp;
}[] = [
  {
    title: 'a mistake in the configuration',
    yaml: 'targets: []\n',
    code: 78,
    message: /podmirror\.yaml:1: targets: it is empty\. Write a list/,
  },
  {
    title: 'a configuration that is not there',
    args: ['--config', '/none.yaml'],
    code: 78,
    message: /^podmirror: read \/none\.yaml: ENOENT.*Write the path of podmirror\.yaml after --config\n$/,
  },
  {
    title: 'no processor and no --print',
    yaml: `${targets}\n`,
    code: 78,
    message: /no processor:\. Write one with url:, ca:, cert: and key:, or start with --print\n$/,
  },
  {
    title: 'a certificate that is not there',
    yaml: shippingTo('https://a').replace('agent.crt', 'none.crt'),
    code: 78,
    message: /^podmirror: load certificate \/.*none\.crt: no such file\. Write the path/,
  },
  { title: 'an unknown option', args: ['--prnt'], code: 64, message: /Unknown option '--prnt'/ },
  { title: 'no option at all', args: [], code: 64, message: /--config is missing/ },
  {
    title: 'a kernel without BTF',
    yaml: shippingTo('https://a'),
    env: { FAKE_ERROR: 'NO_BTF' },
    code: 69,
    message: /^podmirror: start the capture \(NO_BTF\): .*\. Do this about it\n$/,
  },
  {
    title: 'a missing capability',
    yaml: shippingTo('https://a'),
    env: { FAKE_ERROR: 'NO_CAPABILITY' },
    code: 69,
    message: /\(NO_CAPABILITY\): this process may not load BPF programs/,
  },
  {
    title: 'a limit that the addon refuses',
    yaml: shippingTo('https://a'),
    env: { FAKE_ERROR: 'BAD_OPTION' },
    code: 78,
    message: /\(BAD_OPTION\): limits in the configuration/,
  },
  {
    title: 'a TLS mode that does not exist',
    args: ['--config', 'x', '--tls', 'on'],
    code: 64,
    message: /^podmirror: --tls: "on" is none of them\. Write auto, secrets, calls or off\n$/,
  },
  {
    title: 'an addon that was not built',
    yaml: shippingTo('https://a'),
    env: { PODMIRROR_ADDON: '/none.node' },
    code: 69,
    message: /^podmirror: load the capture addon: .*Build it with `make build`\n$/,
  },
];

for (const { title, yaml, args, env = {}, code, message } of refusals) {
  test(`${title} ends the agent with ${code} and one message without a stack`, async (t) => {
    const { output, ended } = run(t, args ?? ['--config', configFile(t, yaml ?? '')], env);
    t.is(await ended, code);
    t.regex(output.stderr, message);
    t.notRegex(output.stderr, /\n\s+at /);
  });
}

test('a port in use ends the agent with 78 and says which', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  const { port } = other.address() as AddressInfo;
  const file = configFile(t, `${targets}\nlisten: {health: "127.0.0.1:0", metrics: "127.0.0.1:${port}"}\n`);
  const { output, ended } = run(t, ['--print', '--config', file]);
  t.is(await ended, 78);
  t.regex(
    output.stderr,
    /^podmirror: listen on 127\.0\.0\.1:\d+: the port is in use.*Write another listen\.metrics\n$/,
  );
});

for (const [args, mode] of [
  [[], 'secrets'],
  [['--tls', 'off'], 'off'],
  [['--tls=calls'], 'calls'],
] as const) {
  test(`the addon is told tls.mode of the configuration, or --tls: secrets, ${args.join(' ')}`, async (t) => {
    const file = configFile(t, `${targets}\n${anyPort}\ntls: {mode: secrets}\n`);
    const { output, ended } = run(t, ['--print', '--config', file, ...args], { FAKE_ERROR: 'NO_BTF' });
    t.is(await ended, 69);
    t.regex(output.stderr, new RegExp(`"tlsMode":"${mode}"`));
  });
}

test('--check reads the configuration and its certificates without the addon', async (t) => {
  const file = configFile(t, shippingTo('https://a'));
  const { output, ended } = run(t, ['--check', '--config', file], { PODMIRROR_ADDON: '/none' });
  t.is(await ended, 0);
  t.regex(output.stdout, /podmirror\.yaml: in order, 1 target\n$/);
});

for (const [flag, shown] of [
  ['--help', /^usage: node agent\/main\.ts/],
  ['--version', /^\d+\.\d+\.\d+\n$/],
] as const) {
  test(`${flag} is answered on stdout`, async (t) => {
    const { output, ended } = run(t, [flag]);
    t.is(await ended, 0);
    t.regex(output.stdout, shown);
  });
}
