// A Capture without a kernel: batches are put in by the test, the account is kept as the contract says.
import type { Batch, Capture, Coverage, Identity, Ledger, Target } from '../../bpf/index.d.ts';

export interface FakeCapture extends Capture {
  push(batch: Batch): void;
  readonly selected: Map<string, Identity>;
  readonly excluded: Set<string>;
  readonly settled: Map<string, 'delivered' | { dropped: string }>;
}

export function fakeCapture({
  refuse = () => undefined,
}: {
  refuse?: (target: Target) => Error | undefined;
} = {}): FakeCapture {
  const queue: Batch[] = [];
  const unsettled = new Map<string, Batch>();
  const selected = new Map<string, Identity>();
  const excluded = new Set<string>();
  const settled: FakeCapture['settled'] = new Map();
  const exchanges: Ledger['exchanges'] = {
    captured: 0,
    delivered: 0,
    dropped: {},
    inFlight: 0,
    bodiesStripped: 0,
  };
  let wake = () => {};
  let stopped = false;

  return {
    selected,
    excluded,
    settled,
    push(batch) {
      queue.push(batch);
      exchanges.captured += batch.exchanges;
      exchanges.inFlight += batch.exchanges;
      wake();
    },
    select(target) {
      const error = refuse(target);
      if (error) throw error;
      selected.set(target.cgroup, target.identity);
      excluded.delete(target.cgroup);
    },
    exclude(cgroup) {
      excluded.add(cgroup);
      selected.delete(cgroup);
    },
    release: (cgroup) => excluded.delete(cgroup) || selected.delete(cgroup),
    async nextBatch(maxWaitMs) {
      if (queue.length === 0 && !stopped) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, maxWaitMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      const batch = queue.shift() ?? null;
      if (batch) unsettled.set(batch.id, batch);
      return batch;
    },
    settle(id, outcome) {
      const batch = unsettled.get(id);
      if (!batch) return false;
      unsettled.delete(id);
      settled.set(id, outcome);
      exchanges.inFlight -= batch.exchanges;
      if (outcome === 'delivered') exchanges.delivered += batch.exchanges;
      else exchanges.dropped[outcome.dropped] = (exchanges.dropped[outcome.dropped] ?? 0) + batch.exchanges;
      return true;
    },
    ledger: () => ({
      exchanges: structuredClone(exchanges),
      bytes: { seen: 0, copied: 0, elided: {}, lost: {}, parsed: 0, discarded: {}, held: 0 },
      closes: true,
      incidents: {},
    }),
    coverage: (): Coverage => ({
      targets: [...selected].map(([cgroup, identity]) => ({
        cgroup,
        identity,
        selectedAtMs: 0,
        lastExchangeAtMs: null,
        exchanges: 0,
        connections: {},
        tls: { handshakes: 0, decrypted: 0, dark: {}, called: {}, calledLate: 0, processes: [], calls: [] },
        notes: [],
      })),
      secrets: {},
    }),
    stop() {
      stopped = true;
      wake();
    },
    close() {
      stopped = true;
      wake();
    },
  };
}
