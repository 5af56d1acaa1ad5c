// Tells the processor what this agent covers: soon after that changed, and every half minute. What is not taken is not kept.
import type { Ledger } from '../bpf/index.d.ts';
import type { CoverageReport } from '../processor/coverage/report.ts';
import { type AgentCoverage, encodeReport, newsKey, reportOf } from './coverage-report.ts';
import type { Log } from './log.ts';
import { type Answer, endpoints, type Poster } from './post.ts';
import { reasonIn, type Trouble, troubleOfAnswer, troubleOfError } from './trouble.ts';

export interface Reporter {
  /** Call it every few seconds: it posts when there is news or when it is time, one report at a time. */
  look(reading: { coverage: AgentCoverage; ledger: () => Ledger }): void;
  /** Gives up what is under way. */
  stop(): void;
}

// Looks are three seconds apart, so that 30 s are not exceeded.
const periodMs = 27_000;
// Of one that comes and goes, a report now and then is enough.
const newsGapMs = 5_000;
// Until somebody exchanges the processor.
const unsupportedMs = 5 * 60_000;

type Outcome = 'taken' | 'unsupported' | Trouble;

export function createReporter({
  url,
  poster,
  log,
  about,
  deliveryTrouble,
  now = () => performance.now(),
}: {
  url: string;
  poster: Pick<Poster, 'post'>;
  log: Log;
  about: Pick<CoverageReport, 'node' | 'agentVersion'>;
  /** What batches meet; the shipper says it, and it is the same. */
  deliveryTrouble: () => Trouble | undefined;
  now?: () => number;
}): Reporter {
  const giveUp = new AbortController();
  let underWay = false;
  let told: string | undefined;
  let [quietUntil, dueAt] = [0, 0];
  /** Kinds of trouble since the last report that was taken. */
  const said = new Set<string>();

  const say = (level: 'info' | 'warn', kind: string, sentence: string) => {
    if (said.has(kind)) return;
    said.add(kind);
    log[level](sentence);
  };

  const settle = (outcome: Outcome, key: string, at: number) => {
    if (outcome === 'taken') {
      if (said.size > 0) log.info(`coverage is told to ${url} again`);
      said.clear();
      told = key;
      quietUntil = at + newsGapMs;
      dueAt = at + periodMs;
    } else if (outcome === 'unsupported') {
      const sentence = `the processor at ${url} takes no coverage, so its page does not show this agent's. Run agent and processor of one version`;
      say('info', outcome, sentence);
      quietUntil = at + unsupportedMs;
    } else {
      if (!deliveryTrouble()) say('warn', outcome.kind, outcome.sentence);
      quietUntil = at + periodMs;
    }
  };

  return {
    look({ coverage, ledger }) {
      const at = now();
      if (underWay || giveUp.signal.aborted || at < quietUntil) return;
      const key = newsKey(coverage);
      if (key === told && at < dueAt) return;
      underWay = true;
      const bytes = encodeReport(reportOf(coverage, ledger(), { ...about, atMs: Date.now() }));
      void poster
        .post(bytes, giveUp.signal, endpoints.coverage)
        .then(
          (answer) => outcomeOf(answer, url),
          (error) => troubleOfError(error, url, 'tell coverage'),
        )
        .then((outcome) => {
          underWay = false;
          if (!giveUp.signal.aborted) settle(outcome, key, at);
        });
    },
    stop: () => giveUp.abort(),
  };
}

function outcomeOf(answer: Answer, url: string): Outcome {
  const { status, text } = answer;
  if (status >= 200 && status < 300) return 'taken';
  // What a processor answers that knows of batches only.
  if (status === 404 || status === 405) return 'unsupported';
  if (![400, 413, 415, 429].includes(status)) return troubleOfAnswer(answer, url, 'tell coverage');
  const reason = reasonIn(text) || 'no reason given';
  const advice = status === 429 ? '' : '. Run agent and processor of one version';
  const sentence = `tell coverage to ${url}: refused with status ${status} (${reason})${advice}`;
  return { kind: `status ${status}`, sentence };
}
