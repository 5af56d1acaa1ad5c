// What Prometheus sees of the caches and the controller; admission has its own in admission/metrics.ts.
import { Counter, collectDefaultMetrics, Gauge, type Registry } from 'prom-client';
import type { Cluster } from '../cluster/cluster.ts';
import type { Controller } from '../controller/controller.ts';
import type { Events } from '../controller/events.ts';
import type { Lease } from '../controller/lease.ts';
import type { Memory } from '../controller/remember.ts';

export interface Parts {
  cluster: Pick<Cluster, 'sources' | 'podCount' | 'intent' | 'intentProblems' | 'filters' | 'synced'>;
  controller: Controller;
  lease: Pick<Lease, 'isLeader'>;
  memory: Pick<Memory, 'counts'>;
  events: Pick<Events, 'counts'>;
}

type Sample = [labels: Record<string, string>, value: number];

/** `process`: also CPU, memory and event loop of this process (off in tests: they keep a timer). */
export function createWebhookMetrics(
  registry: Registry,
  { cluster, controller, lease, memory, events }: Parts,
  { process }: { process: boolean },
): void {
  const registers = [registry];
  if (process) collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, labelNames: string[], samples: () => Sample[]) =>
    new Gauge({
      name: `podmirror_${name}`,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const [labels, value] of samples()) this.set(labels, value);
      },
    });
  // The parts count; this only shows. Their numbers never go back while they run.
  const counter = (name: string, help: string, labelNames: string[], samples: () => Sample[]) =>
    new Counter({
      name: `podmirror_${name}_total`,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const [labels, value] of samples()) this.inc(labels, value);
      },
    });
  const labelled = (label: string, counts: object): Sample[] =>
    Object.entries(counts).map(([name, value]) => [{ [label]: name }, Number(value)]);
  const perSource = (value: (source: ReturnType<Cluster['sources']>[number]) => number) => (): Sample[] =>
    cluster.sources().map((source) => [{ source: source.name }, value(source)]);

  gauge('watch_age_seconds', 'Since the API server was last heard; stale above 180', ['source'], () =>
    perSource(({ ageMs }) => ageMs / 1000)().filter(([, age]) => Number.isFinite(age)),
  );
  const watched = (name: keyof ReturnType<Cluster['sources']>[number]['counts'], help: string) =>
    counter(
      `watch_${name}`,
      help,
      ['source'],
      perSource(({ counts }) => counts[name]),
    );
  watched('lists', 'Whole lists read');
  watched('watches', 'Watches begun');
  watched('failures', 'Lists and watches that failed');
  watched('hung', 'Watches that fell silent');
  gauge('cluster_synced', '1 when every first list was read', [], () => [[{}, cluster.synced() ? 1 : 0]]);
  gauge('pods', 'Pods known', [], () => [[{}, cluster.podCount()]]);
  gauge(
    'filters_refused',
    '1 when the filters that stand there are wrong, so that none is in force',
    [],
    () => [[{}, cluster.filters().problems.length > 0 ? 1 : 0]],
  );
  gauge('intent_classes', 'Workload classes in the intent ConfigMaps', [], () => [
    [{}, cluster.intent()?.classes.size ?? 0],
  ]);
  gauge('intent_problems', 'What is wrong in the intent ConfigMaps', [], () => [
    [{}, cluster.intentProblems().length],
  ]);
  gauge('leader', '1 in the replica that keeps the intent', [], () => [[{}, lease.isLeader() ? 1 : 0]]);
  gauge('intent_settled', '1 when the leader had nothing left to write', [], () => [
    [{}, controller.status().settled ? 1 : 0],
  ]);
  gauge(
    'intent_pass_seconds',
    'What the last computation of the whole intent took of the event loop',
    [],
    () => [[{}, controller.status().passMs / 1000]],
  );
  gauge('intent_conflicts', 'Class ids that two kinds of pods share by chance', [], () => [
    [{}, controller.status().conflicts],
  ]);
  gauge(
    'intent_namespaces_left_out',
    'Namespaces of which nothing is written, since the ConfigMaps are full',
    [],
    () => [[{}, controller.status().leftOut]],
  );
  counter('intent_passes', 'Computations of the whole intent', [], () => [[{}, controller.status().passes]]);
  counter('intent_writes', 'Writes of intent ConfigMaps by the leader', [], () => [
    [{}, controller.status().writes],
  ]);
  counter('intent_write_failures', 'Passes that could not be written', [], () => [
    [{}, controller.status().failures],
  ]);
  counter('admitted_classes', 'Pods admitted, by what became of their class', ['outcome'], () =>
    labelled('outcome', memory.counts),
  );
  counter('events', 'Events for people, by what became of them', ['outcome'], () =>
    labelled('outcome', events.counts),
  );
}
