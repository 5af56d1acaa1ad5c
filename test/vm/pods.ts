/** A node's pods, and where they have to be when systemd makes their cgroups. */
import type { Kubectl } from '../kube/kubectl.ts';

export interface NodePod {
  namespace: string;
  name: string;
  quality: string;
  address: string;
  /** Below the mount, as all here. */
  cgroup: string;
  containers: { name: string; cgroup: string; unit: string }[];
}

interface PodList {
  items: {
    metadata: { namespace: string; name: string; uid: string };
    status: {
      qosClass: string;
      podIP?: string;
      containerStatuses?: { name: string; containerID?: string }[];
    };
  }[];
}

// What a runtime calls the scope of a container, whose id is as in `containerd://<64 hex digits>`.
const SCOPES: Readonly<Record<string, string>> = { containerd: 'cri-containerd', 'cri-o': 'crio' };

export async function podsOf(kubectl: Kubectl): Promise<NodePod[]> {
  const { items } = JSON.parse(await kubectl(['get', 'pods', '-A', '-o', 'json'])) as PodList;
  return items.map(({ metadata, status }) => {
    const { namespace, name, uid } = metadata;
    const cgroup = cgroupOf(uid, status.qosClass);
    const containers = (status.containerStatuses ?? []).map(({ name, containerID = '' }) => {
      const [runtime = '', id] = containerID.split('://');
      const unit = `${SCOPES[runtime]}-${id}.scope`;
      return { name, unit, cgroup: `${cgroup}/${unit}` };
    });
    return { namespace, name, quality: status.qosClass, address: status.podIP ?? '', cgroup, containers };
  });
}

/** A slice's name begins with that of the one it is in; guaranteed pods are in the first. */
function cgroupOf(uid: string, quality: string): string {
  const outer = quality === 'Guaranteed' ? 'kubepods' : `kubepods-${quality.toLowerCase()}`;
  const pod = `${outer}-pod${uid.replaceAll('-', '_')}.slice`;
  return ['', 'kubepods.slice', ...(outer === 'kubepods' ? [] : [`${outer}.slice`]), pod].join('/');
}
