// The pods of this node, reduced as they come off the wire.
import { createPairKeeper } from '../../webhook/cluster/pairs.ts';
import { templateHashKey } from '../../webhook/cluster/pod.ts';
import type { Handler } from '../../webhook/cluster/watcher.ts';
import type { Meta } from '../../webhook/intent/class.ts';
import { type NodePod, nodePodOf, staticPodKeys } from './pod.ts';

export interface NodePods extends Handler<NodePod> {
  reduce(object: unknown): NodePod;
  all(): Iterable<NodePod>;
  /** Keeps what class ids of `meta` are made of. True when some of it may be missing: then list again. */
  want(meta: Pick<Meta, 'labelKeys' | 'annotationKeys'>): boolean;
}

export function createNodePods({ onChange }: { onChange: () => void }): NodePods {
  let pods = new Map<string, NodePod>();
  const pairs = createPairKeeper();
  const want: NodePods['want'] = ({ labelKeys, annotationKeys }) =>
    pairs.want({
      labels: [...labelKeys, templateHashKey],
      annotations: [...annotationKeys, staticPodKeys.mirror, staticPodKeys.hash],
    });
  want({ labelKeys: [], annotationKeys: [] });

  return {
    reduce(object) {
      const pod = nodePodOf(object);
      return { ...pod, ...pairs.keep(pod) };
    },
    replace(list) {
      pods = new Map(list.map((pod) => [pod.uid, pod]));
      onChange();
    },
    upsert(pod) {
      pods.set(pod.uid, pod);
      onChange();
    },
    remove({ uid }) {
      if (pods.delete(uid)) onChange();
    },
    all: () => pods.values(),
    want,
  };
}
