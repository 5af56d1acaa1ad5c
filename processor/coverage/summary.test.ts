import test from 'ava';
import { javaProcess, nginxProcess, sampleReport, sampleTarget } from './fake/report.ts';
import { notCovered, summaryOf } from './summary.ts';

test('a library that cannot be read is told once, however many processes have it; a process without one is not told', (t) => {
  const shell = { ...javaProcess, executable: '/bin/sh', probe: 'no TLS library', library: undefined };
  const target = sampleTarget('shop', [nginxProcess, javaProcess, { ...javaProcess, pid: 9 }, shell]);
  t.deepEqual(notCovered(target), [{ library: 'Java', executable: '/usr/bin/java', why: javaProcess.probe }]);
});

for (const proof of ['unarmed', 'contradicted'])
  test(`a library whose probe is ${proof} is not covered, with the reason`, (t) => {
    const target = sampleTarget('shop', [{ ...nginxProcess, proof, probe: 'why' }]);
    t.deepEqual(notCovered(target), [
      { library: 'OpenSSL 3.0.19', executable: '/usr/sbin/nginx', why: 'why' },
    ]);
  });

test('a library that was not made out is told by its file', (t) => {
  const { version: _, ...unknown } = javaProcess;
  t.is(notCovered(sampleTarget('shop', [unknown]))[0]?.library, javaProcess.library);
});

test('a summary has the sums of all targets, and names who has what is not covered', (t) => {
  const targets = [sampleTarget('shop'), sampleTarget('pay', [nginxProcess])];
  const summary = summaryOf(sampleReport({ targets }));
  t.like(summary, { targets: 2, connections: { http1: 6, tls: 8 }, exchanges: { captured: 12 } });
  t.deepEqual(summary.tls, { handshakes: 8, decrypted: 6, called: {}, dark: { 'no secret was logged': 2 } });
  t.deepEqual(
    summary.notCovered.map(({ target, library }) => [target, library]),
    [['shop', 'Java']],
  );
});

test('a summary stays short', (t) => {
  const targets = Array.from({ length: 500 }, (_, index) => sampleTarget(`shop-${index}`));
  const notes = Array.from({ length: 500 }, (_, index) => `note ${index}`);
  const summary = summaryOf(sampleReport({ targets, notes }));
  t.is(summary.notCovered.length, 10);
  t.is(summary.notes.length, 10);
});
