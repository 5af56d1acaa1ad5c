// What is mirrored of a pod: on its node, and on which nodes it would be.
import type { KnownPod } from '../cluster/view.ts';
import { type Grant, grantedContainers } from '../intent/model.ts';
import { listed, show } from '../intent/show.ts';

export interface Mirrored {
  /** Containers on the pod's node; on any node while the pod has none. */
  here: string[];
  /** For each container that some node mirrors: patterns of node names. */
  nodes: Record<string, string[]>;
}

export function mirroredOf(pod: KnownPod, grants: Grant[]): Mirrored {
  const nodes = Object.fromEntries(
    namesOf(pod)
      .map((name) => [name, nodesFor(name, grants)] as const)
      .filter(([, patterns]) => patterns.length > 0),
  );
  const here =
    pod.nodeName === undefined ? Object.keys(nodes) : grantedContainers(grants, pod, pod.nodeName).sort();
  return { here, nodes };
}

/** In an order of its own, so that pods of one kind compare equal. */
function namesOf({ containers, ephemeralContainers }: KnownPod): string[] {
  return [...new Set([...containers, ...ephemeralContainers])].sort();
}

const anyNode = ['*'];

function nodesFor(name: string, grants: Grant[]): string[] {
  const pod = { containers: [name], ephemeralContainers: [] };
  const naming = grants.filter(
    (grant) => grantedContainers([{ ...grant, nodes: anyNode }], pod, 'any').length > 0,
  );
  const patterns = [...new Set(naming.flatMap(({ nodes }) => nodes))].sort();
  return patterns.includes('*') ? anyNode : patterns;
}

const maxTold = 5;

/** "web, proxy", "web (nodes pool-*)", "nothing". */
export function renderMirrored({ here, nodes }: Mirrored): string {
  const names = Object.entries(nodes).map(([name, patterns]) => {
    if (patterns.includes('*')) return show(name);
    const where = `nodes ${listed(patterns.map(show), maxTold)}`;
    return `${show(name)} (${here.includes(name) ? where : `${where}, not here`})`;
  });
  return listed(names, maxTold) || 'nothing';
}
