import test from 'ava';
import { type Flags, readFlags } from './flags.ts';

function run(args: string[], env: Record<string, string> = {}): Flags {
  const command = readFlags(args, env);
  if ('print' in command) throw new Error('it prints');
  return command.run;
}

test('without a flag everything is as the Deployment mounts it', (t) => {
  t.deepEqual(run([]), {
    namespace: undefined,
    kubeconfig: undefined,
    certificates: {
      certFile: '/etc/podmirror/tls/tls.crt',
      keyFile: '/etc/podmirror/tls/tls.key',
      caFile: '/etc/podmirror/tls/ca.crt',
    },
    selfSigned: undefined,
    host: undefined,
    ports: { admission: 8443, health: 11226, ops: 9090 },
    drainMs: 10_000,
    log: { level: 'info', style: 'text' },
    settings: {
      labelKey: 'wallarm-mirror',
      annotationKey: 'mirror.wallarm.com/enabled',
      excludedNamespaces: ['kube-system'],
    },
  });
});

test('the namespace comes from the flag, else from POD_NAMESPACE', (t) => {
  t.is(run([], { POD_NAMESPACE: 'from-env' }).namespace, 'from-env');
  t.is(run(['--namespace', 'from-flag'], { POD_NAMESPACE: 'from-env' }).namespace, 'from-flag');
});

test('certificates of its own making are made known for a quarter of an hour before they are used', (t) => {
  t.deepEqual(run(['--self-signed']).selfSigned, { spreadMs: 900_000 });
  t.deepEqual(run(['--self-signed', '--ca-spread-seconds=5']).selfSigned, { spreadMs: 5000 });
});

for (const [args, excluded] of [
  [['vault'], ['kube-system', 'vault']],
  [
    ['vault', 'kube-system', 'bank'],
    ['kube-system', 'vault', 'bank'],
  ],
] as const) {
  test(`kube-system is excluded beside ${args.join(' and ')}`, (t) => {
    const flags = args.flatMap((name) => ['--exclude-namespace', name]);
    t.deepEqual(run(flags).settings.excludedNamespaces, [...excluded]);
  });
}

for (const [args, sentence] of [
  [['--port', 'https'], /--port .*: write a number from 0 to 65535/],
  [['--port', '65536'], /--port 65536: write a number/],
  [['--ops-port', '1.5'], /--ops-port 1\.5: write a number/],
  [['--label-key', 'a b'], /--label-key "a b": write a Kubernetes key/],
  [['--annotation-key', 'example.com/'], /--annotation-key "example\.com\/": write a Kubernetes key/],
  [['--namespace', 'Pod'], /--namespace "Pod": write the name of a namespace/],
  [['--exclude-namespace', 'kube-*'], /--exclude-namespace "kube-\*": write the name of a namespace/],
  [['--drain-seconds=-1'], /--drain-seconds -1: write seconds/],
  [['--ca-spread-seconds=soon'], /--ca-spread-seconds .*: write seconds, 0 to 86400/],
  [['--log-level', 'loud'], /--log-level "loud": write error, warn, info, debug/],
  [['--log-style', 'xml'], /--log-style "xml": write text or json/],
  [['--prot', '1'], /Unknown option '--prot'/],
  [['shop'], /Unexpected argument 'shop'/],
] as const) {
  test(`${args.join(' ')} is refused in words`, (t) => {
    t.throws(() => run([...args]), { message: sentence });
  });
}

test('all mistakes are told at once', (t) => {
  const error = t.throws(() => run(['--port', 'x', '--log-level', 'y']));
  t.is(error?.message.split('\n').length, 2);
});

test('--help and --version go before everything else', (t) => {
  t.deepEqual(readFlags(['--help', '--port', 'x'], {}), { print: 'usage' });
  t.deepEqual(readFlags(['--version'], {}), { print: 'version' });
});
