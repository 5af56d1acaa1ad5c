// The name of a container from the mounts of its processes.

/**
 * The kubelet mounts a file of its own into every container, for its last words: its source is
 * `…/pods/<uid>/containers/<container name>/<8 hex>`, wherever it is mounted. So the name is known as soon as the
 * container has mounts, which is before its program starts, a second before the pod's status says so, and with any
 * runtime. undefined: no such mount (yet), several that disagree, or mounts that are the node's. proc_pid_mountinfo(5).
 */
export function containerNameIn(mountinfo: string, cgroupUid: string): string | undefined {
  const names = new Set<string>();
  for (const line of mountinfo.split('\n')) {
    // The fourth field: the place of what is mounted in its own file system; the fifth: where it is mounted.
    const [, , , root = '', mountPoint = ''] = line.split(' ', 5);
    // The runtime's own process, before it leaves the node's mounts: among them is whatever any pod asked for.
    if (ofNode.test(mountPoint)) return undefined;
    const found = ofVolume.test(root) ? null : ofKubelet.exec(root);
    if (found?.[1] === cgroupUid && found[2] !== undefined) names.add(found[2]);
  }
  const [name] = names;
  return names.size === 1 ? name : undefined;
}

// The kubelet's folder of a pod, as a place to mount at: volumes, their parts (subPath) and tokens.
const ofNode = /\/pods\/[0-9a-f-]{32,36}\/(?:volumes|volume-subpaths)\//;
// A path below a volume is named by who mounts it.
const ofVolume = /\/volumes\/|\/volume-subpaths\//;
const ofKubelet =
  /\/pods\/([0-9a-f-]{32,36})\/containers\/([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)\/[0-9a-f]{8}$/;
