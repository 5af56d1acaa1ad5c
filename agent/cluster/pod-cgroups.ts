// Where the cgroups of pods are: searched for by the pod's uid, since kubelets put them below folders of their own choice.
import { containerAt, podUidAt } from '../container.ts';

export interface PodCgroup {
  /** Below the cgroup2 mount, beginning with /. */
  path: string;
  inode: number;
  /** Right below it, in the order of their paths. */
  containers: ContainerCgroup[];
}

export interface ContainerCgroup {
  path: string;
  inode: number;
  /** 64 hex digits. The pod's sandbox (pause) has one too. */
  id: string;
}

/** By the uid in the name of the pod's cgroup. `cgroups`: path below the mount → inode. */
export function podCgroupsOf(cgroups: ReadonlyMap<string, number>): Map<string, PodCgroup> {
  const pods = new Map<string, PodCgroup>();
  const byPath = new Map<string, PodCgroup>();
  for (const [path, inode] of cgroups) {
    const uid = podUidAt(path);
    if (uid === undefined || pods.has(uid) || isInPod(path)) continue;
    const pod = { path, inode, containers: [] };
    pods.set(uid, pod);
    byPath.set(path, pod);
  }
  for (const [path, inode] of cgroups) {
    const pod = byPath.get(path.slice(0, path.lastIndexOf('/')));
    const container = pod && containerAt(path);
    if (container) pod.containers.push({ path, inode, id: container.id });
  }
  return pods;
}

/** Made by a container that may write its own cgroup, under any name it likes; the kubelet puts no pod into another. */
const isInPod = (path: string): boolean => depthInPod(path) > 0;

/** How far below the outermost pod's cgroup: 0 is that itself; -1: in none. */
function depthInPod(path: string): number {
  const segments = path.split('/').slice(1);
  const pod = segments.findIndex((segment) => podUidAt(`/${segment}`) !== undefined);
  return pod === -1 ? -1 : segments.length - 1 - pod;
}

/** A container, or what a runtime puts beside it. What is made inside is the container's own affair, and as much as it likes. */
export const isLeafOfPod = (path: string): boolean => depthInPod(path) >= 1;

// As kubelets name them, below a root of their own or none. When one is seen, there may be pods in it.
const folderOfPods = /(?:kubepods|burstable|besteffort)(?:\.slice)?$/;

/** Whether the coming or going of this cgroup can change what is mirrored: a pod's, a container's, a folder of pods. */
export function concernsPods(path: string): boolean {
  const depth = depthInPod(path);
  return (
    depth === 0 || (depth === 1 ? containerAt(path) !== undefined : depth < 0 && folderOfPods.test(path))
  );
}
