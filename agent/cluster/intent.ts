// The intent as this agent has read it: the ConfigMaps that the webhook writes, each watched by its name.
import type { Api } from '../../webhook/cluster/api.ts';
import { pathOf } from '../../webhook/cluster/api.ts';
import type { Clock } from '../../webhook/cluster/clock.ts';
import { configMapOf, createConfigMap, type OneConfigMap } from '../../webhook/cluster/configmap.ts';
import type { Log } from '../../webhook/cluster/log.ts';
import { startWatcher, type Watcher, type WatcherTiming } from '../../webhook/cluster/watcher.ts';
import { decodeIntent, type Intent, MAX_SHARDS, META_KEY, shardName } from '../../webhook/intent/document.ts';

export interface IntentReader {
  /** null: there is none, or it was not read yet. */
  intent(): Intent | null;
  /** What is wrong in the ConfigMaps. */
  problems(): string[];
  /** Everything that belongs to it was seen at least once. */
  synced(): boolean;
  ageMs(): number;
  stop(): Promise<void>;
}

interface Shard {
  known: OneConfigMap;
  watcher: Watcher | undefined;
}

// The shards are watched one by one, and a class that moves is written to the new one first: what is read between has a
// hole that nobody meant. It is over within a round trip; after this long it is taken for meant.
const unsettledMs = 2000;

export function startIntentReader({
  api,
  namespace,
  clock,
  log,
  onChange,
  timing = {},
}: {
  api: Pick<Api, 'list' | 'watch'>;
  namespace: string;
  clock: Clock;
  log: Log;
  onChange: () => void;
  timing?: Partial<WatcherTiming>;
}): IntentReader {
  const shards: Shard[] = [];
  let current: ReturnType<typeof decodeIntent> = { intent: null, problems: [] };
  let waiting: NodeJS.Timeout | undefined;

  const allSynced = () => shards.every(({ watcher }) => watcher?.synced() === true);

  const take = (next: typeof current) => {
    clearTimeout(waiting);
    waiting = undefined;
    current = next;
    onChange();
  };

  const read = () => {
    const data = shards.map(({ known }) => known.get()?.data);
    const next = decodeIntent(data);
    openShards(next.intent?.meta.shards ?? 1);
    if (next.intent === null || isSettled(data, next.intent.meta.shards)) return take(next);
    // One that was never read says nothing of what is not in it.
    if (!allSynced()) return;
    waiting ??= setTimeout(() => {
      waiting = undefined;
      take(decodeIntent(shards.map(({ known }) => known.get()?.data)));
    }, unsettledMs);
  };

  const openShards = (count: number) => {
    for (let index = shards.length; index < Math.min(count, MAX_SHARDS); index++) {
      const known = createConfigMap({ name: shardName(index), onChange: read });
      // In the list before its watcher runs: the watcher calls back.
      const shard: Shard = { known, watcher: undefined };
      shards.push(shard);
      shard.watcher = startWatcher({
        api,
        name: shardName(index),
        path: pathOf({ namespace }, 'configmaps'),
        fieldSelector: `metadata.name=${shardName(index)}`,
        reduce: configMapOf,
        handler: {
          ...known,
          replace(items) {
            known.replace(items);
            // It counts as synced right behind this, and there being none is news too.
            queueMicrotask(read);
          },
        },
        clock,
        log,
        timing,
      });
    }
  };
  openShards(1);

  return {
    intent: () => current.intent,
    problems: () => current.problems,
    synced: () => allSynced() && waiting === undefined,
    ageMs: () => Math.max(...shards.map(({ watcher }) => watcher?.ageMs() ?? 0)),
    async stop() {
      clearTimeout(waiting);
      await Promise.all(shards.map(({ watcher }) => watcher?.stop()));
    },
  };
}

/** All shards in use are there and say the same of themselves. */
function isSettled(data: (Record<string, string> | undefined)[], count: number): boolean {
  const meta = data[0]?.[META_KEY];
  return Array.from({ length: count }, (_, index) => data[index]?.[META_KEY]).every((text) => text === meta);
}
