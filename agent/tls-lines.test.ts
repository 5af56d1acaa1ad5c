import test from 'ava';
import type { Coverage, TlsCoverage, TlsProcess } from '../bpf/index.d.ts';
import { tlsLines } from './tls-lines.ts';

const nginx: TlsProcess = {
  pid: 7,
  executable: '/usr/sbin/nginx',
  library: '/usr/lib/libssl.so.3',
  version: 'OpenSSL 3.0.19',
  probe: 'inner keylog function at +0x32e50',
  attached: true,
  armed: true,
  secrets: 3,
  verified: 0,
  proof: 'armed',
};
const java: TlsProcess = {
  pid: 8,
  executable: '/usr/bin/java',
  library: '/usr/lib/jvm/libjvm.so',
  probe: 'Java is in it, and where Java hands out its secrets is not known',
  attached: false,
  armed: null,
  secrets: 0,
  verified: 0,
  proof: 'none',
};

function coverage(tls: Partial<TlsCoverage>, pod = false): Coverage {
  const inPod = { namespace: 'shop', pod: 'web-1', container: 'web' };
  return {
    targets: [
      {
        cgroup: '/a',
        identity: { name: 'shop', ...(pod && inPod) },
        selectedAtMs: 1,
        lastExchangeAtMs: null,
        exchanges: 0,
        connections: {},
        tls: {
          handshakes: 0,
          decrypted: 0,
          dark: {},
          called: {},
          calledLate: 0,
          processes: [],
          calls: [],
          ...tls,
        },
        notes: [],
      },
    ],
    secrets: {},
  };
}

test('each library of a target is told once, however many processes have it', (t) => {
  const say = tlsLines();
  const workers = coverage({ processes: [nginx, { ...nginx, pid: 9 }] });
  t.deepEqual(say(workers), [
    {
      level: 'info',
      text: 'TLS of shop in /usr/sbin/nginx (/usr/lib/libssl.so.3, OpenSSL 3.0.19) is read by the secrets of its handshakes',
    },
  ]);
  t.deepEqual(say(workers), []);
});

test('what is not covered is told with its reason, for a person to act on', (t) => {
  const lines = tlsLines()(coverage({ processes: [java], dark: { 'no secret was logged': 4 } }, true));
  t.deepEqual(lines, [
    {
      level: 'warn',
      text: 'TLS of shop/web-1 container web in /usr/bin/java (/usr/lib/jvm/libjvm.so) is not covered: Java is in it, and where Java hands out its secrets is not known',
    },
    {
      level: 'warn',
      text: 'connections of shop/web-1 container web with TLS are not read: no secret was logged. See /coverage for how many',
    },
  ]);
});

test('what is read by calls is told with the reason why', (t) => {
  t.deepEqual(tlsLines()(coverage({ called: { 'no secret was logged': 2 } })), [
    {
      level: 'info',
      text: 'connections of shop with TLS are read by calls of their library, which costs it more: no secret was logged',
    },
  ]);
});

test('a process without a TLS library is worth no line, and a count that grows no second one', (t) => {
  const say = tlsLines();
  const bare: TlsProcess = {
    pid: 1,
    executable: '/bin/sh',
    probe: 'no TLS library',
    attached: false,
    armed: null,
    secrets: 0,
    verified: 0,
    proof: 'none',
  };
  t.is(say(coverage({ processes: [bare], dark: { 'its place was lost': 1 } })).length, 1);
  t.is(say(coverage({ processes: [bare], dark: { 'its place was lost': 2 } })).length, 0);
});

test('a target that went and came again is told again', (t) => {
  const say = tlsLines();
  const here = coverage({ processes: [nginx] });
  t.is(say(here).length, 1);
  t.is(say({ targets: [], secrets: {} }).length, 0);
  t.is(say(here).length, 1);
});

test('that a probe is proven is told once per program, whichever of its processes it was', (t) => {
  const say = tlsLines();
  const proven = (pid: number) => ({ ...nginx, pid, verified: pid, proof: 'proven' as const });
  t.is(say(coverage({ processes: [nginx] })).length, 1);
  t.deepEqual(say(coverage({ processes: [proven(7)] })), [
    {
      level: 'info',
      text: 'TLS of shop in /usr/sbin/nginx (/usr/lib/libssl.so.3, OpenSSL 3.0.19) is proven: the first connection was verified',
    },
  ]);
  t.deepEqual(say(coverage({ processes: [{ ...nginx, pid: 8 }] })), []);
  t.deepEqual(say(coverage({ processes: [nginx, proven(8), proven(9)] })), []);
});

for (const [proof, how] of [
  ['unarmed', 'is not read by its secrets'],
  ['contradicted', 'logs no secrets'],
] as const)
  test(`that a probe is ${proof} is a warning, with the reason and what to do`, (t) => {
    const say = tlsLines();
    t.is(say(coverage({ processes: [nginx] })).length, 1);
    const processes = [{ ...nginx, proof, probe: 'the reason' }];
    t.deepEqual(say(coverage({ processes })), [
      {
        level: 'warn',
        text: `TLS of shop in /usr/sbin/nginx (/usr/lib/libssl.so.3, OpenSSL 3.0.19) ${how}: the reason. With tls.mode auto its calls are tried, which costs it more; if connections of it stay dark, restart it, and see tls.processes in /coverage`,
      },
    ]);
    t.deepEqual(say(coverage({ processes })), []);
  });

test('targets of one name, as a glob selects them, are told as one', (t) => {
  const say = tlsLines();
  const { targets, secrets } = coverage({ processes: [nginx] });
  const many = { targets: targets.flatMap((target) => [target, { ...target, cgroup: '/b' }]), secrets };
  t.is(say(many).length, 1);
  t.is(say(many).length, 0);
});

test('programs under ever new names are not remembered without end', (t) => {
  const say = tlsLines();
  t.is(say(coverage({ processes: [nginx] })).length, 1);
  for (let n = 0; n < 600; n += 1)
    t.is(say(coverage({ processes: [{ ...nginx, executable: `/tmp/${n}` }] })).length, 1);
  t.is(say(coverage({ processes: [nginx] })).length, 1);
});

test('what holds still is not told again, however much it is', (t) => {
  const say = tlsLines();
  const processes = Array.from({ length: 700 }, (_, n) => ({ ...nginx, executable: `/tmp/${n}` }));
  t.is(say(coverage({ processes })).length, 700);
  for (let look = 0; look < 3; look += 1) t.deepEqual(say(coverage({ processes })), []);
});
