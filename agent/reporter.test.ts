import test from 'ava';
import type { AgentCoverage } from './coverage-report.ts';
import { fakeCapture } from './fake/capture.ts';
import { sampleCoverage } from './fake/coverage.ts';
import { fakeLog } from './fake/log.ts';
import type { Answer, Endpoint } from './post.ts';
import { createReporter } from './reporter.ts';
import type { Trouble } from './trouble.ts';

type Reply = number | [status: number, text: string] | Error;

/** A reporter whose clock stands, and whose processor answers the n-th report with the n-th reply, all later ones with 200. */
function reporting(replies: Reply[] = [], deliveryTrouble?: Trouble) {
  const state = { ms: 0, coverage: sampleCoverage(), deliveryTrouble };
  const posted: { body: { node: string; exchanges: object }; endpoint: Endpoint | undefined; at: number }[] =
    [];
  const signals: AbortSignal[] = [];
  const log = fakeLog();
  const poster = {
    async post(bytes: Buffer, signal: AbortSignal, endpoint?: Endpoint): Promise<Answer> {
      signals.push(signal);
      posted.push({ body: JSON.parse(String(bytes)), endpoint, at: state.ms });
      const reply = replies.shift() ?? 200;
      if (reply instanceof Error) throw reply;
      const [status, text] = typeof reply === 'number' ? [reply, ''] : reply;
      return { status, text, retryAfter: undefined };
    },
  };
  const reporter = createReporter({
    url: 'P',
    poster,
    log,
    about: { node: 'node-1', agentVersion: '0.1.0' },
    deliveryTrouble: () => state.deliveryTrouble,
    now: () => state.ms,
  });
  const look = async () => {
    reporter.look({ coverage: state.coverage, ledger: () => fakeCapture().ledger() });
    await new Promise(setImmediate);
  };
  /** Looks every three seconds, as the agent does. */
  const pass = async (ms: number) => {
    for (const end = state.ms + ms; state.ms < end; ) {
      state.ms += 3000;
      await look();
    }
  };
  return { state, posted, signals, log, look, pass, stop: reporter.stop };
}

function withTarget(change: Partial<AgentCoverage['targets'][number]>): AgentCoverage {
  const sample = sampleCoverage();
  return { ...sample, targets: sample.targets.map((target) => ({ ...target, ...change })) };
}

const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });
const at = (posted: { at: number }[]) => posted.map((post) => post.at / 1000);

test('coverage is told at the first look, and then every half minute at least', async (t) => {
  const { look, pass, posted, log } = reporting();
  await look();
  t.like(posted[0], {
    body: { node: 'node-1', agentVersion: '0.1.0', exchanges: { captured: 0 } },
    endpoint: { path: 'v1/coverage', type: 'application/json' },
  });
  await pass(90_000);
  t.deepEqual(at(posted), [0, 27, 54, 81]);
  t.deepEqual(log.lines, []);
});

test('news is told at the next look, but one that comes and goes not with each', async (t) => {
  const { state, look, pass, posted } = reporting();
  await look();
  state.coverage = withTarget({ exchanges: 10 });
  await pass(6000);
  t.deepEqual(at(posted), [0], 'a number that grows is no news');
  for (let change = 0; change < 4; change++) {
    state.coverage = withTarget({ because: `filter ${change + 2}` });
    await pass(3000);
  }
  t.deepEqual(at(posted), [0, 9, 15]);
});

test('one report at a time: a processor that does not answer gets no second one', async (t) => {
  let answer = () => {};
  const state = { ms: 0, posts: 0 };
  const reporter = createReporter({
    url: 'P',
    poster: {
      post: () => {
        state.posts += 1;
        return new Promise((resolve) => {
          answer = () => resolve({ status: 200, text: '', retryAfter: undefined });
        });
      },
    },
    log: fakeLog(),
    about: { node: 'n', agentVersion: '1' },
    deliveryTrouble: () => undefined,
    now: () => state.ms,
  });
  const look = () => reporter.look({ coverage: sampleCoverage(), ledger: () => fakeCapture().ledger() });
  look();
  state.ms = 60_000;
  look();
  t.is(state.posts, 1);
  answer();
  await new Promise(setImmediate);
  look();
  t.is(state.posts, 2);
});

test('a report that fails is not sent again before its time, news or not, and told once until it is taken', async (t) => {
  const { state, look, pass, posted, log } = reporting([refused, refused, refused]);
  await look();
  state.coverage = { ...sampleCoverage(), targets: [] };
  await pass(81_000);
  t.deepEqual(at(posted), [0, 27, 54, 81]);
  t.is(log.lines.length, 2, log.lines.join('\n'));
  t.regex(
    log.lines[0] ?? '',
    /^warn tell coverage to P: connect ECONNREFUSED .*\. Start the processor, or correct processor\.url$/,
  );
  t.is(log.lines[1], 'info coverage is told to P again');
});

test('what batches meet already is not told twice', async (t) => {
  const { look, pass, log } = reporting([refused, refused], { kind: 'ECONNREFUSED', sentence: 'told' });
  await look();
  await pass(60_000);
  t.deepEqual(log.lines, []);
});

test('a processor that knows no coverage is asked again after five minutes, and that is told once', async (t) => {
  const { look, pass, posted, log } = reporting([404, 404, 405]);
  await look();
  await pass(15 * 60_000);
  t.deepEqual(at(posted).slice(0, 4), [0, 300, 600, 900]);
  t.is(log.lines.length, 2);
  t.regex(
    log.lines[0] ?? '',
    /^info the processor at P takes no coverage, .*Run agent and processor of one version$/,
  );
  t.is(log.lines[1], 'info coverage is told to P again');
});

const unkept: [title: string, reply: Reply, said: RegExp][] = [
  [
    'a report that the processor does not understand',
    [400, '{"error":{"code":"bad_report","message":"The body is not coverage","detail":"node: too long"}}'],
    /^warn tell coverage to P: refused with status 400 \(The body is not coverage: node: too long\)\. Run agent and processor of one version$/,
  ],
  [
    'a processor with too many agents',
    [429, '{"error":{"code":"too_many_agents","message":"No more agents"}}'],
    /^warn tell coverage to P: refused with status 429 \(No more agents\)$/,
  ],
  [
    'a name that may not send',
    403,
    /^warn tell coverage to P: status 403\. Write the name of this agent's certificate/,
  ],
  ['a fault of the processor', 500, /^warn tell coverage to P: status 500\. See the processor's log$/],
];

for (const [title, reply, said] of unkept) {
  test(`${title} is told once with what to do, and asked again in its time`, async (t) => {
    const { look, pass, posted, log } = reporting([reply, reply]);
    await look();
    await pass(30_000);
    t.deepEqual(at(posted), [0, 27]);
    t.is(log.lines.length, 1);
    t.regex(log.lines[0] ?? '', said);
  });
}

test('after the end nothing is told any more, and what is under way is given up', async (t) => {
  const { look, pass, posted, signals, stop } = reporting();
  await look();
  stop();
  t.true(signals[0]?.aborted);
  await pass(60_000);
  t.is(posted.length, 1);
});
