import test from 'ava';
import { nginxProcess, sampleReport, sampleTarget } from './fake/report.ts';
import { BadReport, readReport } from './report.ts';

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

/** The sample with another value at a place. */
function withValue(path: string, value: unknown): Buffer {
  const report: unknown = structuredClone(sampleReport());
  const steps = path.split('.');
  const last = steps.pop() ?? '';
  const parent = steps.reduce((place, step) => (place as Record<string, unknown>)[step], report);
  (parent as Record<string, unknown>)[last] = value;
  return bytes(report);
}

test('a report is read as it was sent', (t) => {
  t.deepEqual(readReport(bytes(sampleReport())), sampleReport());
});

test('an older agent does not tell what proves a probe', (t) => {
  const { armed: _, verified: __, proof: ___, ...older } = nginxProcess;
  const [target] = readReport(
    bytes(sampleReport({ targets: [sampleTarget('shop', [older as typeof nginxProcess])] })),
  ).targets;
  t.deepEqual(target?.tls.processes, [{ ...older, verified: 0 }]);
});

test('what a newer agent tells besides is left out, and what a target may lack may be absent', (t) => {
  const bare = {
    pid: 1,
    executable: '/bin/sh',
    probe: 'no TLS library',
    attached: false,
    secrets: 0,
    verified: 0,
  };
  const target = { ...sampleTarget('shop', [bare]), because: null };
  const newer = { ...target, quic: { connections: 1 } };
  const read = readReport(bytes({ ...sampleReport(), masterSecret: 'ff', targets: [newer] }));
  t.deepEqual(read, sampleReport({ targets: [target] }));
});

const refusals: [title: string, body: Buffer, said: RegExp][] = [
  ['what is no JSON', Buffer.from('{"node": secret}'), /^it is no JSON$/],
  ['a list', bytes([]), /^all of it: .*expected object/],
  ['nothing', bytes({}), /^node: .*; agentVersion: .*; atMs: /],
  ['an empty node', withValue('node', ''), /^node: /],
  ['a node whose name is too long', withValue('node', 'n'.repeat(254)), /^node: /],
  [
    'a count that is text',
    withValue('targets.0.tls.processes.0.secrets', 'c0ffee'),
    /processes\.0\.secrets: /,
  ],
  ['a count below zero', withValue('exchanges.captured', -1), /^exchanges\.captured: /],
  ['half an exchange', withValue('exchanges.delivered', 0.5), /^exchanges\.delivered: /],
  [
    'a reason that counts nothing',
    withValue('targets.0.tls.dark', { lost: null }),
    /^targets\.0\.tls\.dark\.lost: /,
  ],
  ['notes that are no texts', withValue('notes', [1]), /^notes\.0: /],
  ['targets that are no list', withValue('targets', {}), /^targets: /],
];

for (const [title, body, said] of refusals) {
  test(`${title} is refused with its place and without its value`, (t) => {
    const error = t.throws(() => readReport(body), { instanceOf: BadReport });
    t.regex(error.message, said);
    t.notRegex(error.message, /secret\}|c0ffee|nnnn/);
    t.true(error.message.length < 1000);
  });
}

test('a key that JavaScript treats as its own is no harm', (t) => {
  const body = withValue('targets.0.connections', JSON.parse('{"__proto__": 3, "constructor": 2, "tls": 1}'));
  const { connections } = readReport(body).targets[0] ?? {};
  t.is(Object.getPrototypeOf(connections), Object.prototype);
  t.is(connections?.tls, 1);
});
