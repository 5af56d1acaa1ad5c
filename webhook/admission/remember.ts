// Writing a new class to the intent ConfigMap while a pod is admitted, without ever standing in its way.
import type { Memory } from '../controller/remember.ts';
import type { PodFacts, Verdict } from '../intent/model.ts';
import type { AdmissionMetrics } from './metrics.ts';

/** Never rejects, says itself in the log what went wrong, and ends some time. */
export type Remember = Memory['remember'];

export interface RememberOptions {
  remember: Remember;
  /** An admission waits this long at most, milliseconds; the write goes on behind it. */
  budgetMs: number;
  metrics: Pick<AdmissionMetrics, 'writeLate' | 'writeFailed' | 'writeSkipped'>;
}

// With an API server that hangs, each creation would leave a write behind. The controller writes what is left out here.
const maxUnderWay = 1024;

/** Resolves when the write has ended or the budget is spent. Never rejects. */
export function createRememberer({
  remember,
  budgetMs,
  metrics,
}: RememberOptions): (pod: PodFacts, verdict: Verdict) => Promise<void> {
  let underWay = 0;

  const write = async (pod: PodFacts, verdict: Verdict) => {
    underWay += 1;
    const outcome = await remember(pod, verdict);
    underWay -= 1;
    if (outcome === 'failed') metrics.writeFailed();
    if (outcome === 'full') metrics.writeSkipped();
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
