// Browser-like GETs inspected per second on one core, through the worker pool's own path but for the thread.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeBatch } from './exchange.ts';
import { encodeBatch } from './fake/batch.ts';
import { crsFolder } from './fake/processor.ts';
import { transactionOf } from './inspection/transaction.ts';
import { loadInspector } from './modsecurity/modsecurity.ts';
import { assembleRules } from './rules/folder.ts';

const rounds = 5;
const perRound = 1000;
const demandedPerSecond = 500;

const folder = mkdtempSync(join(tmpdir(), 'podmirror-bench-'));
const inspector = loadInspector(assembleRules({ crsFolder: crsFolder(), folder, paranoia: 1, threshold: 5 }));
const targets = [
  '/',
  '/products/list?page=2&sort=price',
  '/assets/app.3f2c1.css',
  '/search?q=blue+shoes',
  '/products/4711',
];
const { exchanges } = decodeBatch(encodeBatch(targets.map((target) => ({ target }))));

function round(): number {
  const begin = process.cpuUsage();
  for (let count = 0; count < perRound; count++) {
    for (const exchange of exchanges.slice(count % exchanges.length, (count % exchanges.length) + 1)) {
      inspector.inspect(transactionOf(exchange, { maxBodyBytes: 131_072, maxArguments: 255 }));
    }
  }
  const { user, system } = process.cpuUsage(begin);
  return perRound / ((user + system) / 1e6);
}

round();
const perSecond = Array.from({ length: rounds }, round).sort((a, b) => a - b);
const median = perSecond[Math.floor(rounds / 2)] ?? 0;
const spread = `${perSecond[0]?.toFixed(0)}..${perSecond.at(-1)?.toFixed(0)}`;
process.stdout.write(
  `inspected per second of CPU: ${median.toFixed(0)} (${spread}), demanded ${demandedPerSecond}\n`,
);
rmSync(folder, { recursive: true });
process.exitCode = median >= demandedPerSecond ? 0 : 1;
