import test from 'ava';
import { Refusal } from '../refusal.ts';
import { readCommand } from './flags.ts';

test('what is left out is as podmirror comes', (t) => {
  t.deepEqual(readCommand(['explain', 'shop/web']), {
    command: 'explain',
    question: { namespace: 'shop', pod: 'web' },
    flags: {
      settings: {
        labelKey: 'wallarm-mirror',
        annotationKey: 'mirror.wallarm.com/enabled',
        ownNamespace: 'podmirror',
        excludedNamespaces: ['kube-system'],
      },
      kubeconfig: undefined,
      context: undefined,
      json: false,
    },
  });
});

test('check takes a file and what to compare with', (t) => {
  const command = readCommand(['check', '-', '--against', 'cluster', '--json']);
  t.like(command, { command: 'check', file: '-', against: 'cluster', flags: { json: true } });
  t.like(readCommand(['check', 'a.yaml']), { file: 'a.yaml', against: undefined });
});

const mistakes: [args: string[], message: RegExp][] = [
  [[], /^usage: podmirror explain/],
  [['exlain', 'shop'], /^there is no command exlain\. Write explain\n/],
  [['frobnicate'], /Write explain or check\n/],
  [['explain'], /^nothing is named\. Write podmirror explain <namespace>\/<pod>\n/],
  [['check'], /^nothing is named\. Write podmirror check filters\.yaml\n/],
  [['explain', 'shop', 'web'], /^web is one word too many\. Write podmirror explain <namespace>\/<pod>\n/],
  [['explain', 'a/b/c'], /too many slashes/],
  [['explain', 'Shop/web'], /^"Shop" is no name of a namespace/],
  [['explain', 'shop', '--against', 'cluster'], /^--against is for check/],
  [['check', '-', '--against', '-'], /^standard input cannot be both/],
  [
    ['explain', 'shop', '--namespace', 'A B'],
    /^"A B" is no name of a namespace\. Write one such as podmirror\n/,
  ],
  [
    ['explain', 'shop', '--label-key', 'a/b/c'],
    /^"a\/b\/c" is no Kubernetes key|^a\/b\/c is no Kubernetes key/,
  ],
  [['explain', 'shop', '--jsn'], /Unknown option '--jsn'/],
];

for (const [args, message] of mistakes) {
  test(`podmirror ${args.join(' ')} is answered with what to write, and 64`, (t) => {
    const error = t.throws(() => readCommand(args), { instanceOf: Refusal, message });
    t.is(error?.exitCode, 64);
  });
}

test('help goes before mistakes', (t) => {
  t.deepEqual(readCommand(['explain', '--help']), { command: 'print', what: 'usage' });
});
