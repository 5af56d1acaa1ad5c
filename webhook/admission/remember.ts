// Writing a new class to the intent ConfigMap while a pod is admitted, without ever standing in its way.
import { type Log, sentenceOf } from '../cluster/log.ts';
import type { PodFacts, Verdict } from '../intent/model.ts';
import type { AdmissionMetrics } from './metrics.ts';

/** What it returns is awaited, and does not matter. Must end by itself some time. */
export type Remember = (pod: PodFacts, verdict: Verdict) => unknown;

export interface RememberOptions {
  remember: Remember;
  /** An admission waits this long at most, milliseconds; the write goes on behind it. */
  budgetMs: number;
  log: Pick<Log, 'info' | 'warn'>;
  metrics: Pick<AdmissionMetrics, 'writeLate' | 'writeFailed' | 'writeSkipped'>;
}

// With an API server that hangs, each creation would leave a write behind. The controller writes what is left out here.
const maxUnderWay = 1024;

/** Resolves when the write has ended or the budget is spent. Never rejects. */
export function createRememberer({
  remember,
  budgetMs,
  log,
  metrics,
}: RememberOptions): (pod: PodFacts, verdict: Verdict) => Promise<void> {
  let underWay = 0;
  let failures = 0;

  const succeeded = () => {
    if (failures > 0) log.info(`intent is written at admission again, after ${failures} failures`);
    failures = 0;
  };
  const failed = (error: unknown) => {
    metrics.writeFailed();
    failures += 1;
    // Once per outage: there may be hundreds of creations a second.
    if (failures > 1) return;
    log.warn(
      `write intent at admission: ${sentenceOf(error)}. Pods are admitted all the same, and the controller writes it later`,
    );
  };
  const write = async (pod: PodFacts, verdict: Verdict) => {
    underWay += 1;
    try {
      await remember(pod, verdict);
      succeeded();
    } catch (error) {
      failed(error);
    } finally {
      underWay -= 1;
    }
  };

  return async (pod, verdict) => {
    if (underWay >= maxUnderWay) return metrics.writeSkipped();
    const budget = Promise.withResolvers<'late'>();
    const timer = setTimeout(budget.resolve, budgetMs, 'late');
    const ended = await Promise.race([write(pod, verdict), budget.promise]);
    clearTimeout(timer);
    if (ended === 'late') metrics.writeLate();
  };
}
