// Prometheus metrics, read from the addon's own account at the moment of the scrape.
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Coverage, Ledger, TlsProof } from '../bpf/index.d.ts';

export interface Facts {
  ledger: Ledger;
  coverage: Coverage;
  /** Attempts to deliver a batch; undefined with --print. */
  attempts: { taken: number; refused: number; failed: number } | undefined;
  /** Targets of the configuration that select nothing, or were refused. */
  openTargets: number;
  /** Since the API server was heard; undefined without a cluster. */
  clusterAgeMs?: number | undefined;
}

// Of probes that stand.
const proofs: TlsProof[] = ['unknown', 'armed', 'proven', 'unarmed', 'contradicted'];

type Labels = Record<string, string>;
type Sample = [labels: Labels, value: number];

/** `cluster`: there is one. `process`: also CPU, memory and event loop of this process (off in tests: they keep a timer). */
export function createMetrics({
  read,
  process,
  cluster = false,
}: {
  read: () => Facts;
  process: boolean;
  cluster?: boolean;
}): Registry {
  const registry = new Registry();
  const registers = [registry];
  if (process) collectDefaultMetrics({ register: registry });

  // One look for all metrics of a scrape, so that the sums of the ledger hold in what Prometheus stores.
  let snapshot: Facts | undefined;
  const facts = () => {
    if (snapshot) return snapshot;
    setImmediate(() => {
      snapshot = undefined;
    });
    snapshot = read();
    return snapshot;
  };

  const counter = (name: string, help: string, labelNames: string[], samples: (facts: Facts) => Sample[]) =>
    new Counter({
      name: `podmirror_${name}_total`,
      help,
      labelNames,
      registers,
      collect() {
        // The addon counts; this only shows. Its numbers never go back while it runs.
        this.reset();
        for (const [labels, value] of samples(facts())) this.inc(labels, value);
      },
    });
  const gauge = (name: string, help: string, labelNames: string[], samples: (facts: Facts) => Sample[]) =>
    new Gauge({
      name: `podmirror_${name}`,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const [labels, value] of samples(facts())) this.set(labels, value);
      },
    });

  counter('exchanges_captured', 'Requests whose first byte was recognised', [], ({ ledger }) => [
    [{}, ledger.exchanges.captured],
  ]);
  counter('exchanges_delivered', 'Exchanges that were taken', [], ({ ledger }) => [
    [{}, ledger.exchanges.delivered],
  ]);
  counter('exchanges_dropped', 'Exchanges lost, by reason', ['reason'], ({ ledger }) =>
    byReason(ledger.exchanges.dropped),
  );
  gauge('exchanges_in_flight', 'Exchanges neither delivered nor dropped yet', [], ({ ledger }) => [
    [{}, ledger.exchanges.inFlight],
  ]);
  counter(
    'exchange_bodies_stripped',
    'Exchanges kept without their body for want of room',
    [],
    ({ ledger }) => [[{}, ledger.exchanges.bodiesStripped]],
  );
  counter('bytes_seen', 'TCP payload of the targets', [], ({ ledger }) => [[{}, ledger.bytes.seen]]);
  counter('bytes_copied', 'Payload copied out of the kernel', [], ({ ledger }) => [
    [{}, ledger.bytes.copied],
  ]);
  counter('bytes_parsed', 'Copied payload that became part of an exchange', [], ({ ledger }) => [
    [{}, ledger.bytes.parsed],
  ]);
  counter('bytes_elided', 'Payload not copied since nobody reads it', ['reason'], ({ ledger }) =>
    byReason(ledger.bytes.elided),
  );
  counter('bytes_lost', 'Payload wanted but lost', ['reason'], ({ ledger }) => byReason(ledger.bytes.lost));
  counter('bytes_discarded', 'Payload copied but part of no exchange', ['reason'], ({ ledger }) =>
    byReason(ledger.bytes.discarded),
  );
  gauge('bytes_held', 'Payload copied and not yet parsed or discarded', [], ({ ledger }) => [
    [{}, ledger.bytes.held],
  ]);
  gauge('ledger_closes', '1 when every captured byte and exchange is accounted for', [], ({ ledger }) => [
    [{}, ledger.closes ? 1 : 0],
  ]);
  counter('incidents', 'What may have lost something and is no number of bytes', ['kind'], ({ ledger }) =>
    Object.entries(ledger.incidents).map(([kind, n]) => [{ kind }, n]),
  );

  const target = ['cgroup', 'name'];
  gauge('targets', 'Cgroups that are mirrored now', [], ({ coverage }) => [[{}, coverage.targets.length]]);
  gauge(
    'targets_open',
    'Configured targets that mirror nothing now, or less than they say',
    [],
    ({ openTargets }) => [[{}, openTargets]],
  );
  gauge('target_exchanges', 'Exchanges of a target since it was selected', target, ({ coverage }) =>
    coverage.targets.map(({ cgroup, identity, exchanges }) => [{ cgroup, name: identity.name }, exchanges]),
  );
  gauge('target_connections', 'Connections of a target by first bytes', [...target, 'kind'], ({ coverage }) =>
    coverage.targets.flatMap(({ cgroup, identity, connections }) =>
      Object.entries(connections).map(
        ([kind, count]): Sample => [{ cgroup, name: identity.name, kind }, count],
      ),
    ),
  );
  gauge(
    'target_tls_connections',
    'TLS connections of a target: begun, decrypted, and dark or read by calls by why',
    [...target, 'state', 'reason'],
    ({ coverage }) =>
      coverage.targets.flatMap(({ cgroup, identity: { name }, tls }) => [
        [{ cgroup, name, state: 'begun', reason: '' }, tls.handshakes],
        [{ cgroup, name, state: 'decrypted', reason: '' }, tls.decrypted],
        ...Object.entries(tls.dark).map(
          ([reason, n]): Sample => [{ cgroup, name, state: 'dark', reason }, n],
        ),
        ...Object.entries(tls.called).map(
          ([reason, n]): Sample => [{ cgroup, name, state: 'called', reason }, n],
        ),
      ]),
  );
  gauge(
    'tls_secrets',
    'Secrets that TLS libraries logged, and probes, by what became of them',
    ['kind'],
    ({ coverage }) => Object.entries(coverage.secrets).map(([kind, n]) => [{ kind }, n]),
  );
  gauge('target_tls_probed', 'Processes of a target whose TLS library has a probe', target, ({ coverage }) =>
    coverage.targets.map(({ cgroup, identity, tls }) => [
      { cgroup, name: identity.name },
      tls.processes.filter((process) => process.attached).length,
    ]),
  );
  gauge(
    'target_tls_probes',
    'Probes in processes of a target by what proves them: unarmed and contradicted ones read nothing',
    [...target, 'proof'],
    ({ coverage }) =>
      coverage.targets.flatMap(({ cgroup, identity: { name }, tls }) =>
        proofs.map(
          (proof): Sample => [
            { cgroup, name, proof },
            tls.processes.filter((process) => process.proof === proof).length,
          ],
        ),
      ),
  );
  gauge('target_last_exchange_seconds', 'Unix time of the last exchange', target, ({ coverage }) =>
    coverage.targets.flatMap(({ cgroup, identity, lastExchangeAtMs }): Sample[] =>
      lastExchangeAtMs === null ? [] : [[{ cgroup, name: identity.name }, lastExchangeAtMs / 1000]],
    ),
  );
  if (cluster)
    gauge(
      'cluster_age_seconds',
      'How old is what is known of the cluster: time since the API server was heard, bookmarks come once a minute',
      [],
      ({ clusterAgeMs }) => (clusterAgeMs === undefined ? [] : [[{}, clusterAgeMs / 1000]]),
    );
  counter(
    'deliveries',
    'Attempts to deliver a batch, by what came of them',
    ['result'],
    ({ attempts = {} }) => Object.entries(attempts).map(([result, count]) => [{ result }, count]),
  );
  return registry;
}

function byReason(counts: Record<string, number>): Sample[] {
  return Object.entries(counts).map(([reason, count]) => [{ reason }, count]);
}
