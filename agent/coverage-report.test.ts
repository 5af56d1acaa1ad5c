import test from 'ava';
import fc from 'fast-check';
import type { Ledger } from '../bpf/index.d.ts';
import * as taken from '../processor/coverage/report.ts';
import { type AgentCoverage, encodeReport, maxReportBytes, newsKey, reportOf } from './coverage-report.ts';
import { sampleCoverage, sampleProcess } from './fake/coverage.ts';

const ledger: Ledger = {
  exchanges: { captured: 12, delivered: 9, dropped: { queue_full: 2 }, inFlight: 1, bodiesStripped: 3 },
  bytes: { seen: 9, copied: 8, elided: {}, lost: { ring_full: 1 }, parsed: 8, discarded: {}, held: 0 },
  closes: true,
  incidents: {},
};
const about = { node: 'node-1', agentVersion: '0.1.0', atMs: 5 };
const report = (coverage: AgentCoverage) => reportOf(coverage, ledger, about);
const decoded = (bytes: Buffer) => taken.readReport(bytes);

test('the processor reads what is sent as it was meant', (t) => {
  const coverage = sampleCoverage();
  const read = decoded(encodeReport(report(coverage)));
  t.deepEqual(read.targets, coverage.targets);
  t.like(read, { ...about, lostBytes: { ring_full: 1 }, ledgerCloses: true, refused: [], notes: ['a note'] });
  t.deepEqual(read.exchanges, { captured: 12, delivered: 9, dropped: { queue_full: 2 }, inFlight: 1 });
});

test('what became of the secrets of all targets stays here, even as numbers', (t) => {
  const { secrets } = sampleCoverage();
  t.true(Object.keys(secrets).length > 0);
  t.false('secrets' in report(sampleCoverage()));
});

test('an API server that does not answer is among the notes', (t) => {
  const trouble = 'pods: the API server answered 500; again in 250 ms';
  t.deepEqual(report({ ...sampleCoverage(), cluster: { trouble } }).notes, ['a note', trouble]);
  t.deepEqual(report({ ...sampleCoverage(), cluster: { trouble: null } }).notes, ['a note']);
});

test('no report is larger than what the processor takes', (t) => {
  t.is(maxReportBytes, taken.maxReportBytes);
  const processes = Array.from({ length: 20_000 }, (_, pid) => ({ ...sampleProcess, pid }));
  const last = { ...sampleProcess, pid: 30_000, attached: false, probe: 'Java is in it' };
  const bytes = encodeReport(report(sampleCoverage({ processes: [...processes, last] })));
  t.true(bytes.length <= maxReportBytes);
  const [target] = decoded(bytes).targets;
  t.is(target?.tls.processes.length, 100);
  t.is(target?.tls.processes[0]?.pid, 30_000, 'what is not read is told first');
  t.is(
    target?.notes.at(-1),
    "19901 more processes are not told of here, for want of room: the agent's own /coverage has them",
  );
});

test('of whatever there is, as much is told as fits, and that the rest is missing', (t) => {
  const shape = fc.record({
    targets: fc.integer({ min: 0, max: 40 }),
    processes: fc.integer({ min: 0, max: 40 }),
    refused: fc.integer({ min: 0, max: 40 }),
    noteLength: fc.integer({ min: 0, max: 200 }),
  });
  fc.assert(
    fc.property(shape, ({ targets, processes, refused, noteLength }) => {
      const [one] = sampleCoverage({ processes: Array(processes).fill(sampleProcess) }).targets;
      const all = report({
        ...sampleCoverage(),
        targets: Array(targets).fill(one),
        refused: Array(refused).fill({ namespace: 'a', pod: 'b', because: 'x'.repeat(noteLength) }),
      });
      const bytes = encodeReport(all, 4096);
      t.true(bytes.length <= 4096);
      const read = decoded(bytes);
      if (read.targets.length < targets) t.regex(read.notes.join(), /targets are not told of here/);
    }),
  );
});

type Target = AgentCoverage['targets'][number];
type Change = Partial<Omit<AgentCoverage, 'targets'>> & {
  target?: Partial<Omit<Target, 'tls'>>;
  tls?: Partial<Target['tls']>;
};

/** The sample, with other values in its only target. */
function changed({ target, tls, ...over }: Change): AgentCoverage {
  const sample = sampleCoverage();
  const targets = sample.targets.map((one) => ({ ...one, ...target, tls: { ...one.tls, ...tls } }));
  return { ...sample, targets, ...over };
}

const same: Record<string, Change> = {
  'more exchanges': { target: { exchanges: 14 } },
  'more connections': { target: { connections: { http1: 8, tls: 99, http2: 0 } } },
  'more dark ones for the same reason': { tls: { dark: { lost: 7 } } },
  'a number in a note': { target: { notes: ['7 connections are dark'] } },
  'another process of the same program': {
    tls: { processes: [sampleProcess, { ...sampleProcess, pid: 9, secrets: 4 }] },
  },
  'another process that has served nothing yet': {
    tls: { processes: [sampleProcess, { ...sampleProcess, pid: 9, verified: 0, proof: 'armed' }] },
  },
  'another process whose breakpoint was not looked for yet': {
    tls: {
      processes: [sampleProcess, { ...sampleProcess, pid: 9, armed: null, verified: 0, proof: 'unknown' }],
    },
  },
  'more verified connections': { tls: { processes: [{ ...sampleProcess, secrets: 9, verified: 8 }] } },
  'more secrets': { secrets: { secrets: 50 } },
};

const news: Record<string, Change> = {
  'the first exchange': { target: { exchanges: 0 } },
  'the first connection of a kind': { target: { connections: { http1: 3, tls: 4, http2: 1 } } },
  'the first connection that is decrypted': { tls: { decrypted: 0 } },
  'the first connection that is read by calls': { tls: { called: { cbc: 1 } } },
  'another reason for the dark': { tls: { dark: { lost: 1, other: 1 } } },
  'probes on calls': { tls: { calls: ['libssl'] } },
  'a program that was not there': { tls: { processes: [] } },
  'a probe that came to stand': { tls: { processes: [{ ...sampleProcess, attached: false }] } },
  'a probe that is proven': { tls: { processes: [{ ...sampleProcess, verified: 0, proof: 'armed' }] } },
  'a probe that is not in the process': {
    tls: { processes: [{ ...sampleProcess, armed: false, verified: 0, proof: 'unarmed' }] },
  },
  'a probe that is contradicted': {
    tls: { processes: [{ ...sampleProcess, verified: 0, proof: 'contradicted' }] },
  },
  'another rule': { target: { because: 'filter 2' } },
  'another note of the agent': { notes: [] },
  'an API server that does not answer': { cluster: { trouble: 'pods: no answer' } },
  'a refusal': { refused: [{ namespace: 'a', pod: 'b', because: 'c' }] },
};

for (const [title, change] of Object.entries(same)) {
  test(`${title}: no news`, (t) => t.is(newsKey(changed(change)), newsKey(sampleCoverage())));
}

for (const [title, change] of Object.entries(news)) {
  test(`${title}: news`, (t) => t.not(newsKey(changed(change)), newsKey(sampleCoverage())));
}

test('a target that came: news', (t) => {
  const { targets, ...more } = sampleCoverage();
  t.not(newsKey({ ...more, targets: [...targets, ...targets] }), newsKey(sampleCoverage()));
});
