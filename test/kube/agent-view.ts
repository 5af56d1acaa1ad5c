/** What an agent would find: it knows a pod and the ConfigMaps of intent, and nothing else. */
import { knownPodOf } from '../../webhook/cluster/pod.ts';
import { classOf } from '../../webhook/intent/class.ts';
import { decodeIntent, type Intent, MAX_SHARDS, shardName } from '../../webhook/intent/document.ts';
import { grantedContainers } from '../../webhook/intent/grant.ts';
import type { Kubectl } from './kubectl.ts';

interface Items {
  items: { metadata: { name: string }; data?: Record<string, string> }[];
}

export async function readShards(kubectl: Kubectl): Promise<(Record<string, string> | undefined)[]> {
  const { items } = JSON.parse(
    await kubectl(['get', 'configmaps', '-n', 'podmirror', '-o', 'json']),
  ) as Items;
  const found = Array.from({ length: MAX_SHARDS }, (_, index) =>
    items.find(({ metadata }) => metadata.name === shardName(index)),
  );
  const last = found.findLastIndex((item) => item !== undefined);
  return found.slice(0, last + 1).map((item) => item && (item.data ?? {}));
}

/** Throws when the ConfigMaps hold anything that is wrong. */
export async function readIntent(kubectl: Kubectl): Promise<Intent> {
  const { intent, problems } = decodeIntent(await readShards(kubectl));
  if (!intent || problems.length > 0) throw new Error(`the intent is wrong: ${problems.join('; ')}`);
  return intent;
}

export interface PodObject {
  metadata: { name: string; namespace: string; annotations?: Record<string, string> };
  spec: { nodeName?: string };
}

/** Names of containers; on `fallbackNode` as long as the pod is not scheduled. */
export function mirroredContainers(intent: Intent, pod: PodObject, fallbackNode = 'worker-1'): string[] {
  const facts = knownPodOf(pod);
  const found = classOf(facts, intent.meta);
  const grants = (found && intent.classes.get(found.id)) ?? [];
  return grantedContainers(grants, facts, facts.nodeName || fallbackNode);
}
