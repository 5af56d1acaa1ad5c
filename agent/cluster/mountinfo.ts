// The name of a container from the mounts of its processes.

/**
 * The kubelet mounts a file of its own into every container, for its last words: its source is
 * `…/pods/<uid>/containers/<container name>/<8 hex>`, wherever it is mounted. So the name is known as soon as the
 * container has mounts, which is before its program starts, a second before the pod's status says so, and with any
 * runtime. undefined: no such mount (yet), or several that disagree. proc_pid_mountinfo(5).
 */
export function containerNameIn(mountinfo: string, cgroupUid: string): string | undefined {
  const names = new Set<string>();
  for (const line of mountinfo.split('\n')) {
    // The fourth field: the place of what is mounted in its own file system.
    const root = line.split(' ', 4)[3] ?? '';
    const found = ofKubelet.exec(root);
    if (found?.[1] === cgroupUid && found[2] !== undefined) names.add(found[2]);
  }
  const [name] = names;
  return names.size === 1 ? name : undefined;
}

const ofKubelet =
  /\/pods\/([0-9a-f-]{32,36})\/containers\/([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)\/[0-9a-f]{8}$/;
