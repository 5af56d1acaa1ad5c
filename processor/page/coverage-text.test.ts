import test from 'ava';
import { javaProcess, nginxProcess, sampleTarget } from '../coverage/fake/report.ts';
// @ts-expect-error: the page is plain JavaScript.
import * as words from './coverage-text.js';

const {
  accountText,
  connectionKinds,
  duration,
  groupProcesses,
  heardText,
  loggedText,
  notesOf,
  pidsText,
  plural,
  probeVerdict,
  tlsText,
  verdictOf,
  worstFirst,
} = words;

for (const [ms, text] of [
  [-5, '0 s'],
  [90_400, '90 s'],
  [4 * 60_000, '4 min'],
  [3 * 3_600_000, '3 h'],
  [50 * 3_600_000, '2 days'],
] as const) {
  test(`${ms} ms is ${text}`, (t) => t.is(duration(ms), text));
}

test('an agent that was not heard of late says so', (t) => {
  t.is(heardText({ silent: false, heardMsAgo: 4000 }), 'heard 4 s ago');
  t.is(heardText({ silent: true, heardMsAgo: 400_000 }), 'last heard 7 min ago');
});

test('the account of an agent in words', (t) => {
  t.is(
    accountText({ delivered: 9000, dropped: { queue_full: 2, rejected: 0 }, inFlight: 1 }),
    '9,000 delivered, 2 dropped (queue full 2), 1 on the way',
  );
  t.is(accountText({ delivered: 0, dropped: {}, inFlight: 0 }), '0 delivered');
});

test('one of a thing is told as one', (t) => {
  t.deepEqual([plural(1, 'secret'), plural(1200, 'secret')], ['1 secret', '1,200 secrets']);
});

test('kinds of connections that there were, most first, unknown ones by their name', (t) => {
  t.deepEqual(connectionKinds({ http1: 1, tls: 5, http2: 0, web_transport: 2 }), [
    ['TLS', 5],
    ['web transport', 2],
    ['HTTP/1', 1],
  ]);
});

test('TLS in numbers: none, all of it, and with dark ones', (t) => {
  t.is(tlsText({ handshakes: 0, decrypted: 0, called: {}, dark: {} }).value, 'none');
  t.deepEqual(tlsText({ handshakes: 6, decrypted: 3, called: { cbc: 2 }, dark: { lost: 1 } }), {
    value: '3 of 6',
    detail: 'TLS connections decrypted, 2 read by calls, 1 dark',
  });
});

const quietTarget = {
  ...sampleTarget('shop', [nginxProcess]),
  tls: { ...sampleTarget().tls, dark: {} },
  notes: [],
  notCovered: [],
};

for (const [title, change, verdict] of [
  ['all is read', {}, 'good'],
  ['a dark connection', { tls: sampleTarget().tls }, 'bad'],
  [
    'a library that is not covered',
    { notCovered: [{ library: 'Java', executable: 'java', why: 'x' }] },
    'bad',
  ],
  ['HTTP/2', { notes: ['2 HTTP/2 connections without TLS: not decoded yet'] }, 'bad'],
  ['no connection yet', { exchanges: 0, connections: { tls: 0 }, notes: ['no connection yet'] }, 'none'],
] as const) {
  test(`the verdict on a target: ${title}`, (t) =>
    t.is(verdictOf({ ...quietTarget, ...change })[0], verdict));
}

test('targets that are not read come first, those that are last', (t) => {
  const bad = { ...quietTarget, notCovered: [{}] };
  const none = { ...quietTarget, exchanges: 0, connections: {} };
  t.deepEqual(worstFirst([quietTarget, none, bad]), [bad, none, quietTarget]);
});

test('a reason for the dark is told once, whether a note has it or not', (t) => {
  const { notes, tls } = sampleTarget();
  t.deepEqual(notesOf({ notes, tls }), notes);
  t.deepEqual(notesOf({ notes: [], tls }), ['1 TLS connections are not read: no secret was logged']);
});

test('processes of one program are one row with all their pids; what is not read comes first', (t) => {
  const shell = { pid: 1, executable: '/bin/sh', probe: 'no TLS library', attached: false, secrets: 0 };
  const groups = groupProcesses([
    shell,
    nginxProcess,
    { ...nginxProcess, pid: 9, secrets: 2, armed: null },
    javaProcess,
  ]);
  t.deepEqual(
    groups.map((group: { executable: string; secrets: number; verified: number }) => [
      group.executable,
      pidsText(group),
      group.secrets,
      group.verified,
    ]),
    [
      ['/usr/bin/java', 'pid 8', 0, 0],
      ['/usr/sbin/nginx', '2 processes', 5, 4],
      ['/bin/sh', 'pid 1', 0, 0],
    ],
  );
});

for (const [title, change, kind, words] of [
  ['proven', {}, 'good', 'proven'],
  ['armed', { proof: 'armed' }, 'good', 'read'],
  ['of an older agent', { proof: undefined }, 'good', 'read'],
  ['unarmed', { proof: 'unarmed' }, 'bad', 'not in place'],
  ['contradicted', { proof: 'contradicted' }, 'bad', 'logs nothing'],
  ['not there', { proof: 'none', attached: false }, 'bad', 'not read'],
  ['of no library', { proof: 'none', attached: false, library: undefined }, 'none', 'none'],
] as const) {
  test(`a badge tells of a probe that is ${title}`, (t) =>
    t.deepEqual(probeVerdict({ ...nginxProcess, ...change }), [kind, words]));
}

test('a probe that gives nothing comes before those that are read', (t) => {
  const [first] = groupProcesses([nginxProcess, { ...nginxProcess, pid: 9, proof: 'unarmed' }]);
  t.is(first.proof, 'unarmed');
});

test('what was logged, and what came of it', (t) => {
  t.is(loggedText({ secrets: 0, verified: 0 }), '0 secrets logged');
  t.is(loggedText({ secrets: 5, verified: 1 }), '5 secrets logged, 1 connection verified');
});
