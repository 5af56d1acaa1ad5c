/** `make demo`: a real nginx mirrored on this machine, and a real attack recorded. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Agent, startAgent } from '../harness/agent.ts';
import { createCgroup, whyNoCgroups } from '../harness/cgroup.ts';
import { type Leave, leavingNothing } from '../harness/leave.ts';
import { startNginx } from '../harness/nginx.ts';
import { type Processor, startProcessor } from '../harness/processor.ts';
import { until } from '../harness/until.ts';
import { attackTable } from './attack-table.ts';
import { exchangeTable, parsePrinted } from './exchange-table.ts';
import { HOSTILE, ORDINARY, sendRequest } from './requests.ts';
import { printable } from './table.ts';
import { isPasswordFile, whatIsWrong } from './verdict.ts';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const NAME = 'demo-nginx';
const LAST_WORDS = 2000;

process.exitCode = await leavingNothing(demo).catch((error: unknown) => {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
});

async function demo(leave: Leave): Promise<number> {
  const why = whyNoCgroups();
  if (why) throw new Error(`${why}. Run it with sudo on a Linux with cgroup2`);

  const directory = mkdtempSync(join(tmpdir(), 'podmirror-demo-'));
  leave.defer(() => rmSync(directory, { recursive: true, force: true }));
  execFileSync(process.execPath, ['certs/main.ts', directory], { cwd: REPOSITORY, stdio: 'ignore' });
  const cgroup = createCgroup('demo');
  leave.defer(() => cgroup.remove());
  const nginx = await startNginx({ cgroup });
  leave.defer(() => nginx.stop());
  const base = `http://127.0.0.1:${nginx.port}`;
  say(`nginx serves ${base} in ${cgroup.path}`);

  const processor = await startProcessor({ directory });
  leave.defer(() => processor.stop());
  say(
    `the processor takes exchanges over mTLS on port ${processor.ingestPort}, and shows ${processor.pageUrl}`,
  );
  const target = { directory, cgroup: cgroup.path, name: NAME };
  const agent = await startAgent({ ...target, processorPort: processor.ingestPort });
  leave.defer(() => agent.stop());
  // A second agent, without a processor, prints what the first one delivers.
  const printer = await startAgent({ ...target, processorPort: null });
  leave.defer(() => printer.stop());
  say(`an agent mirrors ${NAME} to the processor, another one prints`);

  const sent = await sendRequests(base);
  const shown = await show({ agent, printer, processor, sent });
  const wrong = whatIsWrong(shown);
  for (const sentence of wrong) process.stderr.write(`demo: ${sentence}\n`);
  if (wrong.length === 0) say('\nall as it should be: the attack is on record and the ledger closes');
  else process.stderr.write(`\n${lastWords('agent', agent)}\n${lastWords('processor', processor)}\n`);

  if (process.stdout.isTTY) await stayUp(processor, base);
  return wrong.length === 0 ? 0 : 1;
}

async function sendRequests(base: string): Promise<number> {
  say('\ncurl asks:');
  const requests = [...ORDINARY, ...HOSTILE];
  for (const request of requests) {
    const status = await sendRequest(request, base);
    say(
      `  ${status}  ${request.title}: curl ${request.args.map((arg) => arg.replace('BASE', '')).join(' ')}`,
    );
  }
  return requests.length;
}

interface Parts {
  agent: Agent;
  printer: Agent;
  processor: Processor;
  sent: number;
}

async function show({ agent, printer, processor, sent }: Parts) {
  const [ledger] = await Promise.all([agent.settled(), printer.settled()]);
  // Inspection is asynchronous: the batch was taken before it was looked at.
  await until(async () => (await processor.attacks()).some(isPasswordFile), {
    everyMs: 100,
    timeoutMs: 10_000,
  });
  const attacks = await processor.attacks();
  const exchanges = parsePrinted(printer.output());
  say(`\nexchanges, as \`agent --print\` gives them:\n\n${exchangeTable(exchanges)}`);
  say(`\nattacks, from the processor's API:\n\n${attackTable(attacks)}`);
  const { captured, delivered, dropped, inFlight } = ledger.exchanges;
  const reasons = JSON.stringify(dropped);
  say(`\nledger: captured ${captured} = delivered ${delivered} + dropped ${reasons} + in flight ${inFlight}`);
  say(`        bytes ${JSON.stringify(ledger.bytes)}, ${ledger.closes ? 'closes' : 'DOES NOT CLOSE'}`);
  return { attacks, ledger, sent, exchanges: exchanges.length };
}

function lastWords(name: string, { output }: { output(): string }): string {
  return `the ${name} said last:\n${output().slice(-LAST_WORDS)}`;
}

/** Until Ctrl-C, which `leavingNothing` sees to. */
async function stayUp(processor: Processor, base: string): Promise<never> {
  say(`\nOpen ${processor.pageUrl}`);
  say(`Token: ${processor.token}`);
  say(`Ask nginx more: curl --path-as-is ${base}/etc/passwd`);
  say('Ctrl-C ends it and leaves nothing behind.');
  return new Promise<never>(() => {});
}

function say(text: string): void {
  process.stdout.write(
    `${text
      .split('\n')
      .map((line) => printable(line, Number.POSITIVE_INFINITY))
      .join('\n')}\n`,
  );
}
