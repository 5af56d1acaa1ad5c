/** What podmirror could leave behind: objects of any kind, and files on the node. */
import type { Cluster } from '../cluster/cluster.ts';

/** `<kind>/<name>`, with the namespace before it, of every object that has podmirror in its name or namespace. */
export async function objectsOfPodmirror({ kubectl }: Cluster): Promise<string[]> {
  const kinds = lines(await kubectl(['api-resources', '--verbs=list', '-o', 'name'])).filter(
    // What was told of other people's pods stays until it expires; and this is seen as pods.
    (kind) => !/^events|metrics\.k8s\.io$/.test(kind),
  );
  const fields = 'NAMESPACE:.metadata.namespace,KIND:.kind,NAME:.metadata.name';
  const listed = await kubectl(['get', kinds.join(), '-A', '--no-headers', '-o', `custom-columns=${fields}`]);
  return lines(listed)
    .filter((line) => line.includes('podmirror'))
    .map((line) => line.trim().replaceAll(/\s+/g, '/'))
    .sort();
}

// The runtime's own: layers of images, and sockets of containers that come and go.
const ofRuntime = [
  '/run/containerd',
  '/run/netns',
  '/var/lib/containerd',
  '/var/lib/kubelet/pods',
  '/var/log',
];

/** Paths on the node: all in folders for what programs share, and those with podmirror in their name elsewhere. */
export async function filesOfNode({ node }: Cluster): Promise<string[]> {
  const prune = ['(', ...ofRuntime.flatMap((path, index) => [...(index ? ['-o'] : []), '-path', path]), ')'];
  const find = (folders: readonly string[], ...what: string[]) =>
    node.inside(['find', ...folders, '-xdev', ...prune, '-prune', '-o', ...what, '-print']);
  const all = await find(['/run', '/sys/fs/bpf', '/opt']);
  const named = await find(['/etc', '/var', '/usr/local'], '-name', '*podmirror*');
  return lines(all + named).sort();
}

/** Uids of pods that the node has folders for. */
export async function podsOfNode({ node }: Cluster): Promise<string[]> {
  return lines(await node.inside(['ls', '/var/lib/kubelet/pods'])).sort();
}

const lines = (text: string): string[] => text.split('\n').filter(Boolean);
