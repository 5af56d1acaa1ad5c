import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { parseConfig } from './config.ts';
import { remedies } from './mistakes.ts';

const good = `targets:
  - unit: nginx.service
processor:
  url: https://127.0.0.1:8443
  ca: ca.crt
  cert: agent.crt
  key: /etc/podmirror/agent.key
`;

test('a short file is enough, and the rest has defaults', (t) => {
  t.deepEqual(parseConfig('targets:\n  - unit: nginx.service\n', 'podmirror.yaml'), {
    targets: [{ unit: 'nginx.service' }],
    limits: {},
    tls: { mode: 'auto' },
    listen: { health: '127.0.0.1:11226', metrics: '127.0.0.1:9090' },
    log: { level: 'info', style: 'text' },
    resolveIntervalMs: 2000,
    shutdownGraceMs: 10_000,
  });
});

test('certificate paths are taken from the folder of the file', (t) => {
  const { processor } = parseConfig(good, '/srv/conf/podmirror.yaml');
  t.is(processor?.ca, '/srv/conf/ca.crt');
  t.is(processor?.key, '/etc/podmirror/agent.key');
});

test('the example is in order, and what it calls defaults are the defaults', (t) => {
  const file = new URL('podmirror.example.yaml', import.meta.url).pathname;
  const { targets, processor, limits, ...rest } = parseConfig(readFileSync(file, 'utf8'), file);
  const { targets: _, limits: none, ...defaults } = parseConfig('targets: [{unit: x}]', 'a.yaml');
  t.deepEqual(rest, defaults);
  t.deepEqual(none, {});
  t.is(targets?.length, 1);
  t.is(limits.ringBytes, 8 * 2 ** 20);
  t.is(processor?.url, 'https://127.0.0.1:8443');
});

const unit = 'targets:\n  - unit: x\n';
const mistakes: { title: string; yaml: string; message: string }[] = [
  {
    title: 'an empty file',
    yaml: '# later\n',
    message: 'podmirror.yaml:1: nothing in it. Write at least targets: with one target.',
  },
  {
    title: 'a tab',
    yaml: 'targets:\n\t- unit: x\n',
    message: 'podmirror.yaml:2: Tabs are not allowed as indentation. Indent with blanks.',
  },
  {
    title: 'a key that is written twice',
    yaml: `${unit}targets: []\n`,
    message: 'podmirror.yaml:3: Map keys must be unique. Write each key once.',
  },
  {
    title: 'a misspelt key',
    yaml: `${unit}procesor: {}\n`,
    message: 'podmirror.yaml:3: procesor: no such key. Write processor:.',
  },
  {
    title: 'a misspelt key inside a target',
    yaml: 'targets:\n  - unit: x\n    nmae: shop\n',
    message: 'podmirror.yaml:3: targets[0].nmae: no such key. Write name:.',
  },
  {
    title: 'a key that resembles none',
    yaml: `${unit}log:\n  colour: red\n`,
    message: 'podmirror.yaml:4: log.colour: no such key. Write one of level, style.',
  },
  {
    title: 'a TLS mode that does not exist',
    yaml: `${unit}tls:\n  mode: on\n`,
    message:
      'podmirror.yaml:4: tls.mode: "on" is none of auto, secrets, calls, off. Write auto, secrets, calls or off.',
  },
  {
    title: 'a TLS mode where its block is to be',
    yaml: `${unit}tls: off\n`,
    message: 'podmirror.yaml:3: tls: "off" is not a block of keys. Write mode: auto, or leave it out.',
  },
  {
    title: 'no targets',
    yaml: 'node: web-1\n',
    message:
      'podmirror.yaml:1: nothing says what to mirror. Write targets: on a single machine, or cluster: {} in a pod of a cluster.',
  },
  {
    title: 'targets and a cluster',
    yaml: `${unit}cluster: {}\n`,
    message:
      'podmirror.yaml:1: targets: and cluster: in one file. Write targets: on a single machine, or cluster: {} in a pod of a cluster.',
  },
  {
    title: 'a cluster with nothing behind the colon',
    yaml: 'cluster:\n',
    message:
      'podmirror.yaml:1: cluster: nothing follows the colon. Write {} to take node and namespace from NODE_NAME and POD_NAMESPACE.',
  },
  {
    title: 'an empty list of targets',
    yaml: 'targets: []\n',
    message:
      'podmirror.yaml:1: targets: it is empty. Write a list with at least one target, such as - unit: nginx.service.',
  },
  {
    title: 'two kinds in one target',
    yaml: 'targets:\n  - unit: x\n  - cgroup: /a\n    pid: 7\n',
    message:
      'podmirror.yaml:3: targets[1]: cgroup and pid in one target. Write exactly one of cgroup:, unit:, pid:, containerd:.',
  },
  {
    title: 'a target that names nothing',
    yaml: 'targets:\n  - name: shop\n',
    message:
      'podmirror.yaml:2: targets[0]: nothing says what to mirror. Write exactly one of cgroup:, unit:, pid:, containerd:.',
  },
  {
    title: 'the whole machine',
    yaml: 'targets:\n  - cgroup: /\n',
    message:
      'podmirror.yaml:2: targets[0].cgroup: "/": that is the whole machine, and only named workloads are mirrored. Write a path or glob below the cgroup2 mount, such as /system.slice/nginx.service or /system.slice/*.service.',
  },
  {
    title: 'an unbalanced bracket',
    yaml: 'targets:\n  - unit: "web[1"\n',
    message:
      'podmirror.yaml:2: targets[0].unit: "web[1": brackets are not balanced. Close them, or write \\ before one that is part of the name.',
  },
  {
    title: 'a negated pattern',
    yaml: 'targets:\n  - containerd: "!db"\n',
    message:
      'podmirror.yaml:2: targets[0].containerd: "!db": there is no negation here. Write the ones you want, one target each.',
  },
  {
    title: 'a pid in quotes',
    yaml: 'targets:\n  - pid: "12"\n',
    message:
      'podmirror.yaml:2: targets[0].pid: "12" is not a number. Write the number of a running process, such as 1234.',
  },
  {
    title: 'a processor without TLS',
    yaml: good.replace('https', 'http'),
    message:
      'podmirror.yaml:4: processor.url: "http://127.0.0.1:8443": not https. Write the address of the processor, such as https://127.0.0.1:8443.',
  },
  {
    title: 'a value that was forgotten',
    yaml: good.replace('ca.crt', ''),
    message:
      "podmirror.yaml:5: processor.ca: nothing follows the colon. Write the file with the processor's CA, such as certs/ca.crt.",
  },
  {
    title: 'a ring that the kernel would refuse',
    yaml: `${unit}limits:\n  ringBytes: 1000000\n`,
    message:
      'podmirror.yaml:4: limits.ringBytes: 1000000: not a power of two. Write a power of two in bytes, such as 8388608 (8 MiB).',
  },
  {
    title: 'a bare port',
    yaml: `${unit}listen:\n  health: 11226\n`,
    message:
      'podmirror.yaml:4: listen.health: 11226 is not text (put it in quotes). Write host:port, such as 127.0.0.1:11226.',
  },
  {
    title: 'a port that does not exist',
    yaml: `${unit}listen:\n  metrics: "[::1]:70000"\n`,
    message:
      'podmirror.yaml:4: listen.metrics: "[::1]:70000": no such port. Write host:port, such as 127.0.0.1:9090.',
  },
  {
    title: 'an unknown level',
    yaml: `${unit}log: {level: loud}\n`,
    message:
      'podmirror.yaml:3: log.level: "loud" is none of debug, info, warn, error. Write debug, info, warn or error.',
  },
  {
    title: 'a header name with a blank',
    yaml: `${unit}limits:\n  responseHeaders:\n    - server\n    - a b\n`,
    message:
      'podmirror.yaml:6: limits.responseHeaders[1]: "a b" does not fit. Write the name of a header, such as server.',
  },
];

for (const { title, yaml, message } of mistakes) {
  test(`${title} is refused with its line and what to write`, (t) => {
    t.throws(() => parseConfig(yaml, 'podmirror.yaml'), { message });
  });
}

test('all mistakes are told at once, in the order of the file', (t) => {
  const yaml = 'targets:\n  - pid: 0\n  - {}\nlog:\n  levle: info\nprocessor:\n  url: here\n';
  const { message } = t.throws(() => parseConfig(yaml, 'a.yaml'));
  const places = message.split('\n').map((line) => line.split(': ').slice(0, 2).join(' '));
  t.deepEqual(places, [
    'a.yaml:2 targets[0].pid',
    'a.yaml:3 targets[1]',
    'a.yaml:5 log.levle',
    'a.yaml:6 processor.ca',
    'a.yaml:6 processor.cert',
    'a.yaml:6 processor.key',
    'a.yaml:7 processor.url',
  ]);
});

test('every key of the schema has a remedy, since each is offered by name', (t) => {
  const every = `node: [1]\ntargets:\n  - {name: [1], cgroup: [1], unit: [1], pid: [1], containerd: [1]}
processor: {url: [1], ca: [1], cert: [1], key: [1], serverName: [1]}
tls: {mode: [1]}
limits: {ringBytes: [1], maxFlows: [1], maxConnectionsBytes: [1], maxFlowBytes: [1], maxQueueBytes: [1], maxBatchBytes: [1], maxBodyBytes: [1], responseHeaders: [[1]]}
cluster: {node: [1], namespace: [1], events: [1]}
listen: {health: [1], metrics: [1]}\nlog: {level: [1], style: [1]}\nresolveIntervalMs: [1]\nshutdownGraceMs: [1]\n`;
  const { message } = t.throws(() => parseConfig(every, 'a.yaml'));
  const named = message.split('\n').map((line) => line.split(': ')[1]?.replace(/\[\d+\]/g, '[]'));
  const leaves = Object.keys(remedies).filter(
    (path) =>
      !Object.keys(remedies).some((other) =>
        new RegExp(`^${path.replace(/[[\]]/g, '\\$&')}[.[]`).test(other),
      ) && path !== '',
  );
  t.deepEqual([...new Set(named)].filter((path) => path !== 'targets[]').sort(), leaves.sort());
  t.notRegex(message, /README|no such key/);
});

test('any text is read or refused with a line, and nothing else is thrown', (t) => {
  const word = fc.constantFrom(
    'targets',
    'unit',
    'cgroup',
    ':',
    ' ',
    '\n',
    '- ',
    '{',
    '}',
    '[',
    '&a',
    '*a',
    '"',
    '/x',
    '1',
    '!',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(word, fc.string()), { maxLength: 30 }), (words) => {
      try {
        parseConfig(words.join(''), 'a.yaml');
      } catch (error) {
        return String((error as Error).message)
          .split('\n')
          .every((line) => /^a\.yaml:\d+: /.test(line));
      }
      return true;
    }),
    { numRuns: 500 },
  );
  t.pass();
});
