/** What stands in the cluster of the webhook's bench: namespaces, filters, and pods that nothing runs. */
import { type Api, pathOf } from '../../webhook/cluster/api.ts';
import { until } from '../harness/until.ts';
import type { Kube } from '../kube/kube.ts';
import { podManifest } from '../kube/pods.ts';

export const NAMESPACES = 100;
export const CLASSES_EACH = 3;
/** manifests/base asks no webhook about pods in it. */
export const UNASKED = 'cert-manager';

/** One namespace, bench-0, with so many of the pods. */
const BIG = 1000;
const CONCURRENCY = 24;

export interface Workloads {
  /** One more of the `kind`th workload of a namespace. */
  create(namespace: string, name: string, kind: number): Promise<void>;
  /** At once. */
  remove(namespace: string, names: readonly string[]): Promise<void>;
}

export async function fillCluster({ kubectl }: Kube, api: Api, count: number): Promise<Workloads> {
  const names = [UNASKED, ...Array.from({ length: NAMESPACES }, (_, index) => `bench-${index}`)];
  await inParallel(names, (name) =>
    api.create(pathOf({}, 'namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }),
  );
  const metadata = { name: 'podmirror-filters', namespace: 'podmirror' };
  const data = { 'filters.yaml': "filters: [{namespace: 'bench-*', pod_labels: {app: 'app-*'}}]" };
  await kubectl(
    ['apply', '-f', '-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data }),
  );
  for (const name of names) await untilDefaultAccount(api, name);

  const owners = new Map<string, Owner>();
  await inParallel(
    names.flatMap((namespace) => Array.from({ length: CLASSES_EACH }, (_, kind) => ({ namespace, kind }))),
    async ({ namespace, kind }) => {
      owners.set(`${namespace}/${kind}`, await createOwner(api, namespace, `workload-${kind}`));
    },
  );
  const create = async (namespace: string, name: string, kind: number) => {
    const owner = owners.get(`${namespace}/${kind}`);
    await api.create(pathOf({ namespace }, 'pods'), podOf({ namespace, name, kind, owner }));
  };
  await inParallel(
    Array.from({ length: count }, (_, index) => index),
    (index) => {
      const namespace = index < BIG ? 'bench-0' : `bench-${1 + (index % (NAMESPACES - 1))}`;
      return create(namespace, `pod-${index}`, Math.floor(index / (NAMESPACES - 1)) % CLASSES_EACH);
    },
  );
  return {
    create,
    remove: (namespace, names) =>
      inParallel(names, (name) => api.remove(`${pathOf({ namespace }, 'pods', name)}?gracePeriodSeconds=0`)),
  };
}

interface Owner {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
}

/** Nearly all pods have a controller. A ConfigMap in its place, since a ReplicaSet's would delete pods it did not make. */
async function createOwner(api: Api, namespace: string, name: string): Promise<Owner> {
  const [apiVersion, kind] = ['v1', 'ConfigMap'];
  const made = await api.create(pathOf({ namespace }, 'configmaps'), {
    apiVersion,
    kind,
    metadata: { name },
  });
  return { apiVersion, kind, name, uid: (made as { metadata: { uid: string } }).metadata.uid };
}

/** Nothing about it speaks of mirroring, so the API server asks /mutate about it and not /validate. */
function podOf(facts: { namespace: string; name: string; kind: number; owner: Owner | undefined }) {
  const { namespace, name, kind, owner } = facts;
  const pod = podManifest({ namespace, name, containers: ['web', 'proxy'] });
  const labels = { app: `app-${kind}`, 'pod-template-hash': '6d4cf56db6' };
  const ownerReferences = owner && [{ ...owner, controller: true }];
  return { ...pod, metadata: { ...pod.metadata, labels, ownerReferences } };
}

async function untilDefaultAccount(api: Api, namespace: string): Promise<void> {
  await until(
    () =>
      api.get(pathOf({ namespace }, 'serviceaccounts', 'default')).then(
        () => true,
        () => false,
      ),
    { timeoutMs: 30_000, everyMs: 50 },
  );
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}
