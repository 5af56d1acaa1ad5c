// A cluster behind a fake API server, its caches, and what acts on it.
import type { ExecutionContext } from 'ava';
import { createApi } from '../../cluster/api.ts';
import type { Clock } from '../../cluster/clock.ts';
import { systemClock } from '../../cluster/clock.ts';
import { type Cluster, startCluster } from '../../cluster/cluster.ts';
import { plainConnection } from '../../cluster/connection.ts';
import {
  configMapObject,
  type FakeApiServer,
  namespaceObject,
  podObject,
  startFakeApiServer,
} from '../../cluster/fake/apiserver.ts';
import { hastyClock } from '../../cluster/fake/clock.ts';
import { fakeLog } from '../../cluster/fake/log.ts';
import type { WatcherTiming } from '../../cluster/watcher.ts';
import { metaOf } from '../../intent/class.ts';
import { decodeIntent, type Intent, shardName } from '../../intent/document.ts';
import { fitIntent } from '../../intent/fit.ts';
import { defaultSettings } from '../../intent/model.ts';
import { type Controller, createController } from '../controller.ts';
import { desiredOf } from '../desired.ts';

export const settings = defaultSettings('podmirror');
const own = '/api/v1/namespaces/podmirror/configmaps';

export interface World {
  server: FakeApiServer;
  putPod(pod: Parameters<typeof podObject>[0]): void;
  removePod(namespace: string, name: string): void;
  putNamespace(name: string, labels?: Record<string, string>): void;
  putFilters(yaml: string): void;
  /** Data of the shard as the API server has it. */
  shard(index?: number): Record<string, string> | undefined;
  putShard(data: Record<string, string>, index?: number): void;
  removeShard(index?: number): void;
  /** What stands in the API server. */
  intent(): Intent | null;
  classes(): string[];
  /** Writes of ConfigMaps that the API server was asked for. */
  writes(): number;
}

export async function startWorld(t: ExecutionContext): Promise<World> {
  const server = await startFakeApiServer();
  t.teardown(server.close);
  const pathOfShard = (index: number) => `${own}/${shardName(index)}`;
  const shard = (index = 0) => server.get(pathOfShard(index))?.data as Record<string, string> | undefined;
  const intent = () => decodeIntent(Array.from({ length: 8 }, (_, index) => shard(index))).intent;
  const world: World = {
    server,
    putPod(pod) {
      const { namespace = 'shop', name } = pod;
      server.put(`/api/v1/namespaces/${namespace}/pods/${name}`, podObject(pod));
    },
    removePod: (namespace, name) => server.remove(`/api/v1/namespaces/${namespace}/pods/${name}`),
    putNamespace: (name, labels) =>
      void server.put(`/api/v1/namespaces/${name}`, namespaceObject(name, labels)),
    putFilters(yaml) {
      const data = { 'filters.yaml': yaml };
      server.put(`${own}/podmirror-filters`, configMapObject('podmirror-filters', data));
    },
    shard,
    putShard: (data, index = 0) =>
      void server.put(pathOfShard(index), configMapObject(shardName(index), data)),
    removeShard: (index = 0) => server.remove(pathOfShard(index)),
    intent,
    classes: () => [...(intent()?.classes.keys() ?? [])].sort(),
    writes: () =>
      server.asked.filter(({ verb, resource }) => resource === 'configmaps' && /create|patch/.test(verb))
        .length,
  };
  world.putNamespace('podmirror');
  return world;
}

export interface Scene extends World {
  cluster: Cluster;
  controller: Controller;
  log: ReturnType<typeof fakeLog>;
  api: ReturnType<typeof createApi>;
  lead(): { end(): Promise<void> };
  /** The ConfigMaps hold exactly what a fresh computation from the caches gives. */
  isRight(): boolean;
}

export async function startScene(
  t: ExecutionContext,
  {
    before = () => {},
    timing = {},
    clock = systemClock,
    ...options
  }: {
    before?: (world: World) => void;
    timing?: Partial<WatcherTiming>;
    clock?: Clock;
  } & Partial<Parameters<typeof createController>[0]> = {},
): Promise<Scene> {
  const world = await startWorld(t);
  before(world);
  const log = fakeLog();
  const connection = plainConnection(world.server.url);
  const api = createApi({ connection, timeoutMs: 5000 });
  const cluster = startCluster({ api, settings, clock: hastyClock(), log, timing });
  const controller = createController({ api, cluster, clock, log, debounceMs: 10, ...options });
  const terms = new Set<{ end(): Promise<void> }>();
  t.teardown(async () => {
    for (const term of terms) await term.end();
    await cluster.stop();
    connection.close();
  });
  return {
    ...world,
    cluster,
    controller,
    log,
    api,
    lead() {
      const abort = new AbortController();
      const done = controller.lead(abort.signal);
      const term = {
        async end() {
          abort.abort();
          await done;
        },
      };
      terms.add(term);
      return term;
    },
    isRight() {
      if (!cluster.synced()) return false;
      const shards = world.intent()?.meta.shards ?? 1;
      const meta = metaOf(cluster.filters().filters, settings, shards);
      const { data } = fitIntent({ meta, classes: desiredOf(cluster).classes });
      return data.every((data, index) => isEqual(data, world.shard(index)));
    },
  };
}

function isEqual(a: Record<string, string>, b: Record<string, string> | undefined): boolean {
  const sorted = (data: Record<string, string>) => JSON.stringify(Object.entries(data).sort());
  return b !== undefined && sorted(a) === sorted(b);
}
