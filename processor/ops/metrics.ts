// The ledger and the state of the processor for Prometheus.
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Stats } from '../store/store.ts';

export interface MetricsOptions {
  stats: () => Stats;
  backlog: () => { batches: number; bytes: number };
  workers: () => number;
  /** That told their coverage of late, and that did so once. */
  agents: () => { heard: number; silent: number };
}

export interface Metrics {
  registry: Registry;
  /** Batches and reports of coverage that were refused, by the code of the refusal. */
  refused: Record<'batch' | 'report', Counter<'code'>>;
  workerTroubles: Counter;
}

/** The ledger's numbers come from the store at each scrape, so they outlive a restart. */
export function createMetrics({ stats, backlog, workers, agents }: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'podmirror_processor_' });

  let current = stats();
  const ledger = (name: string, help: string, value: (stats: Stats) => number) =>
    new Gauge({
      name: `podmirror_processor_${name}`,
      help,
      registers,
      collect() {
        this.set(value(current));
      },
    });
  new Gauge({
    name: 'podmirror_processor_exchanges_received_total',
    help: 'Exchanges accepted: inspected + excluded + dropped + pending',
    registers,
    collect() {
      // The first gauge of the ledger: all of them show one moment.
      current = stats();
      this.set(current.received);
    },
  });
  ledger('exchanges_inspected_total', 'Exchanges that all rules have seen', (stats) => stats.inspected);
  ledger('exchanges_pending', 'Exchanges accepted and not yet inspected', (stats) => stats.pending);
  ledger(
    'exchanges_duplicate_total',
    'Exchanges sent again, not counted as received',
    (stats) => stats.duplicateExchanges,
  );
  ledger('batches_received_total', 'Batches accepted', (stats) => stats.batches);
  ledger('batches_duplicate_total', 'Batches sent again', (stats) => stats.duplicateBatches);
  ledger('hits_total', 'Malicious exchanges', (stats) => stats.hits);
  new Gauge({
    name: 'podmirror_processor_exchanges_excluded_total',
    help: 'Exchanges not inspected because the configuration says so, by reason',
    labelNames: ['reason'],
    registers,
    collect() {
      for (const [reason, amount] of Object.entries(current.excluded)) this.set({ reason }, amount);
    },
  });
  new Gauge({
    name: 'podmirror_processor_exchanges_dropped_total',
    help: 'Exchanges accepted and lost before they were inspected, by reason',
    labelNames: ['reason'],
    registers,
    collect() {
      for (const [reason, amount] of Object.entries(current.dropped)) this.set({ reason }, amount);
    },
  });
  new Gauge({
    name: 'podmirror_processor_backlog_bytes',
    help: 'Bytes of accepted batches that wait for inspection',
    registers,
    collect() {
      this.set(backlog().bytes);
    },
  });
  new Gauge({
    name: 'podmirror_processor_workers',
    help: 'Inspection workers with rules loaded',
    registers,
    collect() {
      this.set(workers());
    },
  });
  new Gauge({
    name: 'podmirror_processor_agents',
    help: 'Agents whose coverage is known: heard within 90 seconds, or silent since',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, amount] of Object.entries(agents())) this.set({ state }, amount);
    },
  });
  const refused = (what: string) =>
    new Counter({
      registers,
      name: `podmirror_processor_${what}_refused_total`,
      help: `What agents sent as ${what} and was not accepted, by reason`,
      labelNames: ['code'],
    });
  return {
    registry,
    refused: { batch: refused('batches'), report: refused('reports') },
    workerTroubles: new Counter({
      registers,
      name: 'podmirror_processor_worker_troubles_total',
      help: 'Inspection workers that died or were given up',
    }),
  };
}
