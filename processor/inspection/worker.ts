// A thread that inspects one exchange at a time.
import { parentPort, workerData } from 'node:worker_threads';
import type { Exchange } from '../exchange.ts';
import { loadInspector, type Match } from '../modsecurity/modsecurity.ts';
import { type InspectionLimits, transactionOf } from './transaction.ts';

export interface WorkerSettings extends InspectionLimits {
  rulesFiles: string[];
}

/** One answer to each exchange, in order; before them one `ready`. */
export type WorkerAnswer =
  | { kind: 'ready' }
  | { kind: 'matches'; matches: Match[] }
  | { kind: 'error'; message: string };

if (parentPort) work(parentPort, workerData as WorkerSettings);

function work(port: NonNullable<typeof parentPort>, settings: WorkerSettings): void {
  const inspector = loadInspector(settings.rulesFiles);
  const answer = (message: WorkerAnswer) => port.postMessage(message);
  port.on('message', (exchange: Exchange) => {
    try {
      answer({ kind: 'matches', matches: inspector.inspect(transactionOf(exchange, settings)) });
    } catch (error) {
      answer({ kind: 'error', message: (error as Error).message });
    }
  });
  answer({ kind: 'ready' });
}
