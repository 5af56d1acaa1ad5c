import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { checkPair } from './pair.ts';

const main = new URL('main.ts', import.meta.url).pathname;
const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });

test('one command makes a CA and two pairs, keys for their owner only; again, it makes new leaves under the same CA', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'certs-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const read = (name: string) => readFileSync(join(dir, name));

  t.is(run(dir, '--names', 'processor.local,10.0.0.9').status, 0);
  t.deepEqual(readdirSync(dir).sort(), [
    'agent.crt',
    'agent.key',
    'ca.crt',
    'ca.key',
    'processor.crt',
    'processor.key',
  ]);
  for (const name of ['agent.key', 'ca.key', 'processor.key'])
    t.is(statSync(join(dir, name)).mode & 0o777, 0o600);
  const processor = new X509Certificate(read('processor.crt'));
  t.is(processor.checkHost('processor.local'), 'processor.local');
  t.is(processor.checkIP('10.0.0.9'), '10.0.0.9');

  const [ca, agent] = [read('ca.crt'), read('agent.crt')];
  t.is(run(dir).status, 0);
  t.true(ca.equals(read('ca.crt')));
  t.false(agent.equals(read('agent.crt')));
  const files = { certFile: 'agent.crt', keyFile: 'agent.key', caFile: 'ca.crt' };
  const pair = { cert: read('agent.crt'), key: read('agent.key'), ca };
  t.notThrows(() => checkPair(pair, files, Date.now()));
});

const refused: [title: string, args: string[], message: RegExp][] = [
  ['no folder', [], /write exactly one folder/],
  ['no number of days', ['/none', '--days', 'x'], /write a whole number from 1/],
];

for (const [title, args, message] of refused) {
  test(`${title}: refused with what to write`, (t) => {
    const { status, stderr } = run(...args);
    t.is(status, 1);
    t.regex(stderr, message);
  });
}
