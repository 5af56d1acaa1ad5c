// Grants hold patterns; here they meet the names that exist.
import type { Grant, PodFacts } from './model.ts';
import { patternOf } from './pattern.ts';

/** Which containers of this pod, on this node, an agent mirrors. A pattern that is none matches nothing. */
export function grantedContainers(
  grants: Grant[],
  pod: Pick<PodFacts, 'containers' | 'ephemeralContainers'>,
  nodeName: string,
): string[] {
  const here = grantsOnNode(grants, nodeName);
  const names = new Set([...pod.containers, ...pod.ephemeralContainers]);
  return [...names].filter((name) => grantFor(here, name) !== undefined);
}

export function grantsOnNode(grants: Grant[], nodeName: string): Grant[] {
  return grants.filter((grant) => anyMatches(grant.nodes, nodeName));
}

/** The first that names this container. */
export function grantFor(grants: Grant[], container: string): Grant | undefined {
  return grants.find((grant) => anyMatches(grant.containers, container));
}

function anyMatches(patterns: string[], text: string): boolean {
  return patterns.some((source) => patternOf(source)?.matches(text) ?? false);
}

// As decoding takes them.
const maxPatterns = 64;

/** Grants that let agents do the same, fewer: one for all that name the same nodes. Their reasons are not told any more. */
export function compactGrants(grants: Grant[]): Grant[] {
  const together = new Map<string, { nodes: string[]; containers: Set<string>; because: string }>();
  for (const { containers, nodes, because } of grants) {
    const key = JSON.stringify(nodes.toSorted());
    const known = together.get(key) ?? { nodes: nodes.toSorted(), containers: new Set<string>(), because };
    together.set(key, known);
    for (const container of containers) known.containers.add(container);
  }
  return [...together.values()].flatMap(({ nodes, containers, because }) => {
    const patterns = containers.has('*') ? ['*'] : [...containers].sort();
    return Array.from({ length: Math.ceil(patterns.length / maxPatterns) }, (_, index) => ({
      containers: patterns.slice(index * maxPatterns, (index + 1) * maxPatterns),
      nodes,
      because: because.slice(0, 60),
    }));
  });
}
