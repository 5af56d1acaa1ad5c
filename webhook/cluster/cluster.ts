// What is known of the cluster: namespaces, pods, filters, and the intent that stands in the ConfigMap now.
import { metaOf } from '../intent/class.ts';
import { decodeIntent, type Intent, MAX_SHARDS, shardName } from '../intent/document.ts';
import type { Filters } from '../intent/filters.ts';
import type { Settings } from '../intent/model.ts';
import { type Api, pathOf } from './api.ts';
import type { Clock } from './clock.ts';
import { type ConfigMap, configMapOf, createConfigMap, type OneConfigMap } from './configmap.ts';
import { FILTERS_NAME, filtersStateOf } from './filters.ts';
import { type Log, seldom } from './log.ts';
import { createNamespaces, namespaceOf } from './namespaces.ts';
import type { WantedKeys } from './pairs.ts';
import { templateHashKey } from './pod.ts';
import { createPods } from './pods.ts';
import type { ClusterView, FiltersState } from './view.ts';
import {
  type Handler,
  startWatcher,
  type Watcher,
  type WatcherCounts,
  type WatcherTiming,
} from './watcher.ts';

export type Topic = 'namespaces' | 'pods' | 'filters' | 'intent';

export interface Cluster extends ClusterView {
  /** Gives the way to stop hearing. Called synchronously, so do little. Once more with every topic when it first synced. */
  onChange(listener: (topic: Topic) => void): () => void;
  /** The ConfigMaps of intent as they are; undefined where there is none (or it is not watched yet). */
  shards(): (ConfigMap | undefined)[];
  /** Watches at least this many shards; true when all of them have been seen. */
  openShards(count: number): boolean;
  /** The answer to a write: known at once, without waiting for the watch. */
  noteShard(object: unknown): void;
  /** What is wrong in the ConfigMaps of intent. */
  intentProblems(): string[];
  /** The ConfigMap with the filters, for events about it. */
  filtersObject(): ConfigMap | undefined;
  podCount(): number;
  sources(): Source[];
  /** Milliseconds since the source that was silent longest was heard: stale above some three minutes. */
  ageMs(): number;
  stop(): Promise<void>;
}

export interface Source {
  name: string;
  synced: boolean;
  ageMs: number;
  counts: Readonly<WatcherCounts>;
}

export function startCluster({
  api,
  settings,
  clock,
  log,
  timing = {},
}: {
  api: Pick<Api, 'list' | 'watch'>;
  settings: Settings;
  clock: Clock;
  log: Log;
  timing?: Partial<WatcherTiming>;
}): Cluster {
  const listeners = new Set<(topic: Topic) => void>();
  const errorOfListener = seldom(log.error.bind(log), clock.now);
  const tell = (topic: Topic) => {
    for (const listener of listeners) {
      try {
        listener(topic);
      } catch (error) {
        errorOfListener(`a listener to ${topic} failed, which is a bug: ${(error as Error).stack ?? error}`);
      }
    }
  };

  const watchers = new Map<string, Watcher>();
  const watch = <T>(
    name: string,
    given: Pick<Parameters<typeof startWatcher<T>>[0], 'path' | 'fieldSelector' | 'reduce' | 'handler'>,
  ) => {
    const watcher = startWatcher<T>({ api, name, clock, log, timing, ...given });
    watchers.set(name, watcher);
    return watcher;
  };
  /** With `onList` after each list, when the watcher counts as synced: it may have found nothing, which is news too. */
  const listed = <T>(handler: Handler<T>, onList: () => void): Handler<T> => ({
    ...handler,
    replace(items) {
      handler.replace(items);
      queueMicrotask(onList);
    },
  });
  const watchConfigMap = (name: string, handler: OneConfigMap, onList: () => void) =>
    watch<ConfigMap>(name, {
      path: pathOf({ namespace: settings.ownNamespace }, 'configmaps'),
      fieldSelector: `metadata.name=${name}`,
      reduce: configMapOf,
      handler: listed(handler, onList),
    });

  let everSynced = false;
  /** Tells once that all first lists are there. */
  const settle = () => {
    if (everSynced || ![...watchers.values()].every((watcher) => watcher.synced())) return;
    everSynced = true;
    for (const topic of ['filters', 'namespaces', 'pods', 'intent'] as const) tell(topic);
  };

  const namespaces = createNamespaces({ onChange: () => tell('namespaces') });
  const pods = createPods({ onChange: () => tell('pods') });

  let filters: FiltersState = filtersStateOf(undefined);
  const filtersObject = createConfigMap({
    name: FILTERS_NAME,
    onChange() {
      filters = filtersStateOf(filtersObject.get());
      if (pods.want(wantedOf(filters.filters, settings))) podWatcher.resync();
      tell('filters');
    },
  });

  const shards: { known: OneConfigMap; watcher: Watcher }[] = [];
  let decoded: ReturnType<typeof decodeIntent> | undefined;
  const current = () => {
    decoded ??= decodeIntent(shards.map(({ known }) => known.get()?.data));
    return decoded;
  };
  const openShard = (index: number) => {
    const known = createConfigMap({
      name: shardName(index),
      onChange() {
        decoded = undefined;
        openShards(current().intent?.meta.shards ?? 1);
        tell('intent');
      },
    });
    // In the list before its watcher runs: the watcher calls back.
    const shard = { known, watcher: undefined as unknown as Watcher };
    shards.push(shard);
    let seen = false;
    shard.watcher = watchConfigMap(shardName(index), known, () => {
      settle();
      if (!seen) tell('intent');
      seen = true;
    });
  };
  const openShards = (count: number): boolean => {
    const needed = Math.min(count, MAX_SHARDS);
    while (shards.length < needed) openShard(shards.length);
    return shards.slice(0, needed).every(({ watcher }) => watcher.synced());
  };

  watch('namespaces', {
    path: pathOf({}, 'namespaces'),
    reduce: namespaceOf,
    handler: listed(namespaces, settle),
  });
  const podWatcher = watch('pods', {
    path: pathOf({}, 'pods'),
    reduce: pods.reduce,
    handler: listed(pods, settle),
  });
  pods.want(wantedOf(filters.filters, settings));
  watchConfigMap(FILTERS_NAME, filtersObject, settle);
  openShards(1);

  const sources = (): Source[] =>
    [...watchers].map(([name, { synced, ageMs, counts }]) => ({
      name,
      synced: synced(),
      ageMs: ageMs(),
      counts,
    }));

  return {
    settings,
    filters: () => filters,
    namespace: namespaces.get,
    namespaces: namespaces.all,
    pod: pods.get,
    pods: pods.all,
    intent: (): Intent | null => current().intent,
    synced: () => everSynced,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    shards: () => shards.map(({ known }) => known.get()),
    openShards,
    noteShard(object) {
      const configMap = configMapOf(object);
      shards.find((_, index) => shardName(index) === configMap.name)?.known.upsert(configMap);
    },
    intentProblems: () => current().problems,
    filtersObject: () => filtersObject.get(),
    podCount: pods.size,
    sources,
    ageMs: () => Math.max(...sources().map(({ ageMs }) => ageMs)),
    async stop() {
      await Promise.all([...watchers.values()].map((watcher) => watcher.stop()));
    },
  };
}

/** The switches count as labels too, to warn of one in the wrong place; by the hash a Deployment is known. */
function wantedOf(filters: Filters, settings: Settings): WantedKeys {
  const { labelKeys, annotationKeys } = metaOf(filters, settings);
  const labels = [...labelKeys, settings.labelKey, settings.annotationKey, templateHashKey];
  return { labels, annotations: annotationKeys };
}
