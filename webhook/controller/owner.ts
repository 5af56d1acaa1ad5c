// Who a person thinks of when they think of a pod: the Deployment, not the ReplicaSet; the CronJob, not the Job.
import { z } from 'zod';
import { type Api, pathOf } from '../cluster/api.ts';
import { ApiError } from '../cluster/api-error.ts';
import { templateHashKey } from '../cluster/pod.ts';
import type { KnownPod, Owner } from '../cluster/view.ts';

const groups: Record<string, { group: string; resource: string }> = {
  ReplicaSet: { group: 'apis/apps/v1', resource: 'replicasets' },
  Job: { group: 'apis/batch/v1', resource: 'jobs' },
};

/**
 * Names the workload of a pod without asking anybody: names of ReplicaSets and Jobs begin with those of their
 * makers. Only a key to remember by; two workloads that share one are told once for both.
 */
export function workloadKeyOf({ namespace, name, labels, owner }: KnownPod): string {
  if (!owner || owner.kind === 'Node') return `${namespace}/Pod/${name}`;
  const hash = labels[templateHashKey];
  if (owner.kind === 'ReplicaSet' && hash && owner.name.endsWith(`-${hash}`)) {
    return `${namespace}/Deployment/${owner.name.slice(0, -hash.length - 1)}`;
  }
  const scheduled = owner.kind === 'Job' && /^(.+)-\d{8,}$/.exec(owner.name);
  if (scheduled) return `${namespace}/CronJob/${scheduled[1]}`;
  return `${namespace}/${owner.kind}/${owner.name}`;
}

const ownedShape = z.object({
  metadata: z.object({
    ownerReferences: z
      .array(
        z.object({
          apiVersion: z.string(),
          kind: z.string(),
          name: z.string(),
          uid: z.string(),
          controller: z.boolean().optional(),
        }),
      )
      .nullish()
      .catch(undefined),
  }),
});

export type FindOwner = (pod: KnownPod, signal: AbortSignal) => Promise<Owner>;

export function createOwners({
  api,
  maxKept = 5000,
}: {
  api: Pick<Api, 'get'>;
  maxKept?: number;
}): FindOwner {
  const kept = new Map<string, Owner>();
  return async (pod, signal) => {
    const { owner, namespace } = pod;
    // The owner of a static pod is its node, which is in no namespace.
    if (!owner || owner.kind === 'Node')
      return { apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid };
    const between = groups[owner.kind];
    if (!between || !`apis/${owner.apiVersion}`.startsWith(between.group)) return owner;
    const known = kept.get(owner.uid);
    if (known) return known;
    try {
      const found = await ownerOf(pathOf({ ...between, namespace }, between.resource, owner.name), signal);
      if (kept.size >= maxKept) kept.clear();
      kept.set(owner.uid, found ?? owner);
      return found ?? owner;
    } catch (error) {
      // Gone, or not ours to see (an API server that has just begun says so too): then it is told on what we know.
      if (error instanceof ApiError && error.status >= 400 && error.status < 429) return owner;
      throw error;
    }
  };

  async function ownerOf(path: string, signal: AbortSignal): Promise<Owner | undefined> {
    const { ownerReferences } = ownedShape.parse(await api.get(path, { signal })).metadata;
    const top = ownerReferences?.find(({ controller }) => controller);
    return top && { apiVersion: top.apiVersion, kind: top.kind, name: top.name, uid: top.uid };
  }
}
