// A thread that inspects one exchange at a time.
import { parentPort, workerData } from 'node:worker_threads';
import type { Exchange } from '../exchange.ts';
import { loadInspector } from '../modsecurity/modsecurity.ts';
import { type Judgement, type JudgeOptions, judge } from './judge.ts';
import { type InspectionLimits, transactionOf } from './transaction.ts';

export interface WorkerSettings extends InspectionLimits, JudgeOptions {
  rulesFiles: string[];
}

/** One answer to each exchange, in order; before them one `ready`. */
export type WorkerAnswer =
  | { kind: 'ready' }
  | { kind: 'judged'; judgement: Judgement | null }
  | { kind: 'error'; message: string };

if (parentPort) work(parentPort, workerData as WorkerSettings);

function work(port: NonNullable<typeof parentPort>, settings: WorkerSettings): void {
  const inspector = loadInspector(settings.rulesFiles);
  const answer = (message: WorkerAnswer) => port.postMessage(message);
  port.on('message', (exchange: Exchange) => {
    try {
      const matches = inspector.inspect(transactionOf(exchange, settings));
      answer({ kind: 'judged', judgement: judge(exchange, matches, settings) });
    } catch (error) {
      answer({ kind: 'error', message: (error as Error).message });
    }
  });
  answer({ kind: 'ready' });
}
