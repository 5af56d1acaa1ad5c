// What an admission just decided, written at once by the replica that decided it: the agent of the node may see the
// new pod before the controller does. Only ever adds a class that is not there; the controller does all the rest.
import { type Api, pathOf } from '../cluster/api.ts';
import type { Clock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { type Log, sentenceOf } from '../cluster/log.ts';
import { classOf, type Meta, metaOf } from '../intent/class.ts';
import { encodeIntent, META_KEY, shardName } from '../intent/document.ts';
import type { Grant, PodFacts, Verdict } from '../intent/model.ts';
import { keysOf } from './desired.ts';

export type Remembered =
  | 'written'
  /** Nothing to write. */
  | 'not-mirrored'
  | 'known'
  /** Left to the controller: a filter asks for a name that is not chosen yet. */
  | 'name-unknown'
  /** Left to the controller: the ConfigMap is not there, or made from other filters than are known here. */
  | 'other-filters'
  /** Left to the controller: more is waiting than is held. */
  | 'full'
  /** Left to the controller: the API server did not take it. */
  | 'failed';

export interface Memory {
  /** Never rejects. Whoever must not wait need not: the write goes on. Not for dry runs. */
  remember(pod: PodFacts, verdict: Verdict): Promise<Remembered>;
  /** Settles when nothing is being written. */
  stop(): Promise<void>;
  counts: Readonly<Record<Remembered, number>>;
}

export function createMemory({
  api,
  cluster,
  clock,
  log,
  batchMs = 3,
  maxWaiting = 1000,
  timeoutMs = 5000,
  echoMs = 5000,
}: {
  api: Pick<Api, 'mergePatch'>;
  cluster: Pick<Cluster, 'settings' | 'filters' | 'intent'>;
  clock: Clock;
  log: Log;
  /** New classes of this long are written together. */
  batchMs?: number;
  maxWaiting?: number;
  timeoutMs?: number;
  /** A class that was written is taken for known this long, until the watch shows it. */
  echoMs?: number;
}): Memory {
  const counts: Record<Remembered, number> = {
    written: 0,
    'not-mirrored': 0,
    known: 0,
    'name-unknown': 0,
    'other-filters': 0,
    full: 0,
    failed: 0,
  };
  const stopping = new AbortController();
  let waiting = new Map<string, { grants: Grant[]; done: PromiseWithResolvers<Remembered> }>();
  const writing = new Map<string, Promise<Remembered>>();
  const written = new Map<string, number>();
  let flushing: Promise<void> | undefined;
  let troubled = false;

  let meta: { of: unknown; value: Meta } | undefined;
  const currentMeta = () => {
    const { filters } = cluster.filters();
    if (meta?.of !== filters) meta = { of: filters, value: metaOf(filters, cluster.settings) };
    return meta.value;
  };

  const isWritten = (id: string) => {
    const at = written.get(id);
    return at !== undefined && clock.now() - at < echoMs;
  };

  const decide = (pod: PodFacts, verdict: Verdict): Remembered | Promise<Remembered> => {
    if (!verdict.mirrored) return 'not-mirrored';
    const intent = cluster.intent();
    const current = currentMeta();
    if (
      !intent ||
      intent.meta.filtersHash !== current.filtersHash ||
      keysOf(intent.meta) !== keysOf(current)
    ) {
      return 'other-filters';
    }
    const id = classOf(pod, current)?.id;
    if (id === undefined) return 'name-unknown';
    // Its last pod may have gone, and the controller's grace for it may end before the watch shows this one: then its
    // entry is missing for one pass, some 100 ms. To write it again would change nothing that a leader elsewhere sees.
    if (intent.classes.has(id) || isWritten(id)) return 'known';
    const under = writing.get(id) ?? waiting.get(id)?.done.promise;
    if (under) return under;
    if (stopping.signal.aborted || waiting.size >= maxWaiting) return 'full';
    const done = Promise.withResolvers<Remembered>();
    waiting.set(id, { grants: verdict.grants, done });
    flushing ??= flush();
    return done.promise;
  };

  const flush = async () => {
    while (waiting.size > 0) {
      await clock.sleep(batchMs, stopping.signal);
      const batch = waiting;
      waiting = new Map();
      for (const [id, { done }] of batch) writing.set(id, done.promise);
      const outcome = await write(new Map([...batch].map(([id, { grants }]) => [id, grants])));
      if (written.size > 10_000) written.clear();
      for (const [id, { done }] of batch) {
        if (outcome === 'written') written.set(id, clock.now());
        writing.delete(id);
        done.resolve(outcome);
      }
    }
    flushing = undefined;
  };

  const write = async (classes: Map<string, Grant[]>): Promise<Remembered> => {
    const intent = cluster.intent();
    if (!intent) return 'other-filters';
    try {
      for (const [shard, { [META_KEY]: _, ...data }] of encodeIntent({
        meta: intent.meta,
        classes,
      }).entries()) {
        if (Object.keys(data).length === 0) continue;
        const path = pathOf({ namespace: cluster.settings.ownNamespace }, 'configmaps', shardName(shard));
        await api.mergePatch(path, { data }, { metadataOnly: true, timeoutMs });
      }
      troubled = false;
      return 'written';
    } catch (error) {
      // The controller sees the pods soon and tries until it succeeds.
      if (!troubled) log.warn(`${classes.size} new classes are left to the controller: ${sentenceOf(error)}`);
      troubled = true;
      return 'failed';
    }
  };

  return {
    async remember(pod, verdict) {
      let outcome: Remembered = 'failed';
      try {
        outcome = await decide(pod, verdict);
      } catch (error) {
        log.error(`remembering a pod failed, which is a bug: ${(error as Error).stack ?? error}`);
      }
      counts[outcome] += 1;
      return outcome;
    },
    async stop() {
      stopping.abort();
      await flushing;
    },
    counts,
  };
}
