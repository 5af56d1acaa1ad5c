// Which container or pod a cgroup path belongs to, from the names that container runtimes and the kubelet give to cgroups.

export interface Container {
  /** 64 hex digits, or the name given to `ctr run`. */
  id: string;
  /** containerd's own namespace, where the path tells: `default`, `k8s.io`, … */
  runtimeNamespace?: string;
  podUid?: string;
}

// CRI-O writes no .scope with the cgroupfs driver. Its crio-conmon-<id> is the monitor beside the container.
const scope = /^(?:(?:cri-containerd|nerdctl|docker)-([0-9a-f]{64})\.scope|crio-([0-9a-f]{64})(?:\.scope)?)$/;
const fullId = /^[0-9a-f]{64}$/;
// cgroupfs: pod<uid>; systemd: kubepods-burstable-pod<uid with _>.slice
const pod = /(?:^|-)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$/;
// runc's own default path is /<namespace>/<id>; these are not namespaces but systemd's first level.
const notNamespace = /\.(?:slice|scope|service|mount|socket|swap)$|^kubepods$|^docker$/;

/** The container whose own cgroup is at `path`, undefined when it is none or lies inside one. */
export function containerAt(path: string): Container | undefined {
  const segments = path.split('/').slice(1);
  const last = segments.at(-1) ?? '';
  const named = scope.exec(last);
  const id = named?.[1] ?? named?.[2] ?? (fullId.test(last) ? last : undefined);
  const [first = '', second] = segments;
  const runtimeNamespace = segments.length === 2 && !notNamespace.test(first) ? first : undefined;

  if (id !== undefined) {
    const podUid = podUidOf(segments);
    return {
      id,
      ...(runtimeNamespace !== undefined && { runtimeNamespace }),
      ...(podUid !== undefined && { podUid }),
    };
  }
  return runtimeNamespace === undefined || !second ? undefined : { id: second, runtimeNamespace };
}

/** The uid of the pod whose own cgroup is at `path`, as the kubelet knows it; undefined when it is none or lies inside one. */
export function podUidAt(path: string): string | undefined {
  return podUidOf([path.slice(path.lastIndexOf('/') + 1)]);
}

function podUidOf(segments: readonly string[]): string | undefined {
  for (const segment of segments) {
    const uid = pod.exec(segment)?.[1];
    if (uid !== undefined) return uid.replaceAll('_', '-');
  }
  return undefined;
}
