// A thread that inspects one exchange at a time.
import { parentPort, workerData } from 'node:worker_threads';
import {
  type ConnectorSettings,
  createConnector,
  type Exclusion,
  type Origin,
} from '../connector/connector.ts';
import type { Exchange } from '../exchange.ts';
import { loadInspector } from '../modsecurity/modsecurity.ts';
import { type Judgement, type JudgeOptions, judge } from './judge.ts';
import { type InspectionLimits, transactionOf } from './transaction.ts';

export interface WorkerSettings extends InspectionLimits, JudgeOptions {
  rulesFiles: string[];
  connector: ConnectorSettings;
}

/** One answer to each exchange, in order; before them one `ready`. */
export type WorkerAnswer =
  | { kind: 'ready' }
  | { kind: 'judged'; judgement: Judgement | null; origin: Origin }
  | { kind: 'excluded'; excluded: Exclusion }
  | { kind: 'error'; message: string };

if (parentPort) work(parentPort, workerData as WorkerSettings);

function work(port: NonNullable<typeof parentPort>, settings: WorkerSettings): void {
  const inspector = loadInspector(settings.rulesFiles);
  const read = createConnector(settings.connector);
  const answer = (message: WorkerAnswer) => port.postMessage(message);
  port.on('message', (exchange: Exchange) => {
    try {
      const { origin, excluded } = read(exchange);
      if (excluded !== undefined) return answer({ kind: 'excluded', excluded });
      const matches = inspector.inspect(transactionOf(exchange, settings));
      answer({ kind: 'judged', judgement: judge(exchange, matches, settings), origin });
    } catch (error) {
      answer({ kind: 'error', message: (error as Error).message });
    }
  });
  answer({ kind: 'ready' });
}
