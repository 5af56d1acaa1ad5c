// A pod of this node, as the agent keeps it: what intent needs, and what tells its containers apart.
import { z } from 'zod';
import { knownPodOf } from '../../webhook/cluster/pod.ts';
import type { KnownPod } from '../../webhook/cluster/view.ts';

export interface NodePod extends KnownPod {
  /** In the names of its cgroups and of its folder: a static pod's is not the uid of its mirror in the API server. */
  cgroupUid: string;
  /** It ended, and nothing of it runs again. */
  completed: boolean;
  /** As the kubelet told it last, init, sidecar and ephemeral containers too; none before a container was made. */
  statuses: ContainerStatus[];
}

export interface ContainerStatus {
  name: string;
  /** 64 hex digits, without the runtime's name before it. */
  id: string;
  running: boolean;
}

/** On mirrors of static pods. They are kept whatever else a pod carries. */
export const staticPodKeys = { mirror: 'kubernetes.io/config.mirror', hash: 'kubernetes.io/config.hash' };

const statuses = z
  .array(
    z
      .object({
        name: z.string().max(253),
        containerID: z.string().max(512),
        state: z.object({ running: z.unknown() }).catch({ running: undefined }),
      })
      .optional()
      .catch(undefined),
  )
  .max(1000)
  .nullish()
  .catch(undefined)
  .transform((list) => (list ?? []).flatMap((status) => (status ? statusOf(status) : [])));

const statusShape = z.object({
  status: z
    .object({
      initContainerStatuses: statuses,
      containerStatuses: statuses,
      ephemeralContainerStatuses: statuses,
    })
    .nullish()
    .catch(undefined),
});

/** Throws when it is no pod. */
export function nodePodOf(object: unknown): NodePod {
  const pod = knownPodOf(object);
  const { status } = statusShape.parse(object);
  return {
    ...pod,
    cgroupUid: cgroupUidOf(pod),
    completed: pod.phase === 'Succeeded' || pod.phase === 'Failed',
    statuses: [
      ...(status?.initContainerStatuses ?? []),
      ...(status?.containerStatuses ?? []),
      ...(status?.ephemeralContainerStatuses ?? []),
    ],
  };
}

function statusOf({
  name,
  containerID,
  state,
}: {
  name: string;
  containerID: string;
  state: { running?: unknown };
}): ContainerStatus[] {
  // containerd://…, cri-o://…; empty until it was made.
  const id = /([0-9a-f]{64})$/.exec(containerID)?.[1];
  return id === undefined ? [] : [{ name, id, running: state.running !== undefined }];
}

/**
 * The kubelet gives a static pod a hash for a uid, and its mirror in the API server carries that as an annotation. Whoever
 * may create pods may write the annotation too: dashes would make it the uid of somebody else's pod.
 */
function cgroupUidOf({ uid, annotations, owner }: KnownPod): string {
  const { [staticPodKeys.mirror]: mirror, [staticPodKeys.hash]: hash = '' } = annotations;
  const isMirror = mirror !== undefined && owner?.kind === 'Node' && /^[0-9a-f]{32}$/.test(hash);
  return isMirror ? hash : uid;
}
