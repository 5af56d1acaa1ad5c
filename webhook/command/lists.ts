// What the cluster is now, read once: as little as the question needs, so that little has to be allowed.
import { type Api, pathOf } from '../cluster/api.ts';
import { isGone, isStatus } from '../cluster/api-error.ts';
import { FILTERS_NAME } from '../cluster/filters.ts';
import { decodeIntent, shardName } from '../intent/document.ts';
import type { Settings } from '../intent/model.ts';
import { exitCodes, Refusal } from '../refusal.ts';
import type { ClusterObjects } from './view.ts';

export type ReadApi = Pick<Api, 'get' | 'list'>;

/** Everything that filters are compared with. */
export async function readCluster(api: ReadApi, { ownNamespace }: Settings): Promise<ClusterObjects> {
  const [namespaces, pods, filters] = await Promise.all([
    listAll(api, { resource: 'namespaces' }),
    listAll(api, { resource: 'pods' }),
    readOne(api, { resource: 'configmaps', namespace: ownNamespace, name: FILTERS_NAME }),
  ]);
  return { namespaces, pods, configMaps: present([filters]) };
}

/** One namespace with its pods, the filters and the intent. */
export async function readNamespace(
  api: ReadApi,
  { ownNamespace }: Settings,
  namespace: string,
): Promise<ClusterObjects> {
  const [found, pods, filters, shards] = await Promise.all([
    readOne(api, { resource: 'namespaces', name: namespace }),
    listAll(api, { resource: 'pods', namespace }),
    readOne(api, { resource: 'configmaps', namespace: ownNamespace, name: FILTERS_NAME }),
    readShards(api, ownNamespace),
  ]);
  const namespaces = found === undefined ? await others(api) : [found];
  return { namespaces, pods, configMaps: present([filters, ...shards]) };
}

/** To name one that was meant; who may not see them is not told. */
async function others(api: ReadApi): Promise<unknown[]> {
  return await listAll(api, { resource: 'namespaces' }).catch((error) => {
    if (error instanceof Refusal) return [];
    throw error;
  });
}

async function readShards(api: ReadApi, namespace: string): Promise<unknown[]> {
  const read = (index: number) => readOne(api, { resource: 'configmaps', namespace, name: shardName(index) });
  const first = await read(0);
  const data = (first as { data?: Record<string, string> } | undefined)?.data;
  const count = decodeIntent([data]).intent?.meta.shards ?? 1;
  return [first, ...(await Promise.all(Array.from({ length: count - 1 }, (_, index) => read(index + 1))))];
}

interface Place {
  resource: 'namespaces' | 'pods' | 'configmaps';
  namespace?: string;
}

const pageSize = 500;

async function listAll(api: ReadApi, place: Place, again = true): Promise<unknown[]> {
  const path = pathOf(place, place.resource);
  const items: unknown[] = [];
  let next: string | undefined;
  try {
    do {
      const page = await api.list(path, { limit: pageSize, continue: next });
      items.push(...page.items);
      next = page.continue;
    } while (next !== undefined);
  } catch (error) {
    // The token of the next page lives some minutes only.
    if (next !== undefined && isGone(error) && again) return await listAll(api, place, false);
    throw allowanceFor('list', place, error);
  }
  return items;
}

/** undefined: there is none. By `get`, or by a list of that name: a role of either kind will do. */
async function readOne(api: ReadApi, { name, ...place }: Place & { name: string }): Promise<unknown> {
  const path = pathOf(place, place.resource);
  try {
    return await api.get(`${path}/${encodeURIComponent(name)}`);
  } catch (error) {
    if (isStatus(error, 404)) return undefined;
    if (!isStatus(error, 403)) throw error;
    const page = await api.list(path, { fieldSelector: `metadata.name=${name}` }).catch(() => {
      throw allowanceFor('get', { ...place, name }, error);
    });
    return page.items[0];
  }
}

/** A 403 in words. */
function allowanceFor(
  verb: 'get' | 'list',
  { resource, namespace, name }: Place & { name?: string },
  cause: unknown,
): unknown {
  if (!isStatus(cause, 403)) return cause;
  const what = name === undefined ? resource : `${resource}/${name}`;
  // Namespaces are in no namespace, so -A would say nothing.
  const where = namespace !== undefined ? ` -n ${namespace}` : resource === 'namespaces' ? '' : ' -A';
  const ask = `kubectl auth can-i ${verb} ${what}${where}`;
  const wrong = `you may not ${verb} ${what}${namespace === undefined ? '' : ` in namespace ${namespace}`}`;
  return new Refusal(`${wrong}. Ask for a role that allows it; try: ${ask}`, exitCodes.unavailable, {
    cause,
  });
}

const present = (objects: unknown[]): unknown[] => objects.filter((object) => object !== undefined);
