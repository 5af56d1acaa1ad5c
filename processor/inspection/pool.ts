// Inspectors in worker threads: off the event loop, replaced when they die or do not come back.
import { Worker } from 'node:worker_threads';
import type { Exclusion, Origin } from '../connector/connector.ts';
import type { Exchange } from '../exchange.ts';
import type { Judgement } from './judge.ts';
import type { WorkerAnswer, WorkerSettings } from './worker.ts';

/** Why an exchange was not inspected. */
export type DropReason = 'timeout' | 'worker_crash' | 'inspection_error';

/** `judgement` null: no attack. */
export type Inspected =
  | { judgement: Judgement | null; origin: Origin }
  | { excluded: Exclusion }
  | { dropped: DropReason; message: string };

export interface PoolOptions {
  workers: number;
  /** For one exchange. */
  timeoutMs: number;
  settings: WorkerSettings;
  /** A worker died or was given up; the sentence says which and why. */
  onTrouble: (message: string) => void;
  /** The worker's file; another one in tests. */
  file?: URL;
}

export interface Pool {
  /** Waits for a free worker; callers bound how many wait. Rejects only when the pool was closed. */
  inspect(exchange: Exchange): Promise<Inspected>;
  /** At least one worker has loaded its rules. Rejects with the reason when the first one cannot. */
  ready: Promise<void>;
  /** Exchanges that wait for a worker. */
  waiting(): number;
  /** Workers with rules loaded. */
  alive(): number;
  close(): Promise<void>;
}

interface Job {
  exchange: Exchange;
  resolve(result: Inspected): void;
  reject(error: Error): void;
}

interface Slot {
  worker: Worker;
  ready: boolean;
  job?: Job;
  timer?: NodeJS.Timeout;
}

// A worker that cannot even load its rules would be restarted at full speed.
const restartDelayMs = 1000;

function inspectedOf(answer: Exclude<WorkerAnswer, { kind: 'ready' }>): Inspected {
  if (answer.kind === 'error') return { dropped: 'inspection_error', message: answer.message };
  return answer.kind === 'excluded'
    ? { excluded: answer.excluded }
    : { judgement: answer.judgement, origin: answer.origin };
}

export function createPool({ workers, timeoutMs, settings, onTrouble, file }: PoolOptions): Pool {
  const workerFile = file ?? new URL('worker.ts', import.meta.url);
  const slots = new Set<Slot>();
  const waiting: Job[] = [];
  const restarts = new Set<NodeJS.Timeout>();
  // Given up, but still running: their number is bounded, so that threads do not pile up.
  const abandoned = new Set<Slot>();
  const ready = Promise.withResolvers<void>();
  let closed = false;

  const start = () => {
    const slot: Slot = { worker: new Worker(workerFile, { workerData: settings }), ready: false };
    let reason = '';
    slots.add(slot);
    slot.worker.on('message', (answer: WorkerAnswer) => onAnswer(slot, answer));
    slot.worker.on('error', (error: Error) => {
      reason = error.message;
      if (!slot.ready) ready.reject(error);
    });
    slot.worker.on('exit', (code) => {
      if (abandoned.delete(slot) && !closed) refill();
      lose(slot, 'worker_crash', `worker ended (${code}): ${reason || 'no reason given'}`);
    });
  };

  const onAnswer = (slot: Slot, answer: WorkerAnswer) => {
    if (!slots.has(slot)) return;
    if (answer.kind === 'ready') {
      slot.ready = true;
      ready.resolve();
    } else {
      const job = slot.job;
      clearTimeout(slot.timer);
      delete slot.job;
      job?.resolve(inspectedOf(answer));
    }
    feed();
  };

  // A thread inside libmodsecurity cannot be stopped: terminate() takes effect when it comes back to JavaScript.
  const lose = (slot: Slot, dropped: DropReason, message: string) => {
    if (!slots.delete(slot)) return;
    clearTimeout(slot.timer);
    slot.job?.resolve({ dropped, message });
    if (closed) return;
    onTrouble(message);
    if (dropped === 'timeout') abandoned.add(slot);
    void slot.worker.terminate();
    if (slot.ready) refill();
    else later(refill);
  };

  const refill = () => {
    while (slots.size < workers && abandoned.size <= workers) start();
  };

  const later = (action: () => void) => {
    const timer = setTimeout(() => {
      restarts.delete(timer);
      action();
    }, restartDelayMs);
    restarts.add(timer);
  };

  const feed = () => {
    for (const slot of slots) {
      if (!slot.ready || slot.job) continue;
      const job = waiting.shift();
      if (!job) return;
      slot.job = job;
      slot.timer = setTimeout(() => {
        lose(slot, 'timeout', `an inspection took more than ${timeoutMs} ms; its worker is replaced`);
      }, timeoutMs);
      slot.worker.postMessage(job.exchange);
    }
  };

  refill();

  return {
    ready: ready.promise,
    inspect: (exchange) => {
      if (closed) return Promise.reject(new Error('the pool is closed'));
      const { promise, resolve, reject } = Promise.withResolvers<Inspected>();
      waiting.push({ exchange, resolve, reject });
      feed();
      return promise;
    },
    waiting: () => waiting.length,
    alive: () => [...slots].filter((slot) => slot.ready).length,
    close: async () => {
      closed = true;
      for (const timer of restarts) clearTimeout(timer);
      const gone = new Error('the pool is closed');
      for (const job of waiting.splice(0)) job.reject(gone);
      const ending = [...slots];
      for (const slot of ending) {
        clearTimeout(slot.timer);
        slot.job?.reject(gone);
        delete slot.job;
      }
      await Promise.all(ending.map((slot) => slot.worker.terminate()));
    },
  };
}
