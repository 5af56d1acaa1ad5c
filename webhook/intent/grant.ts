// Grants hold patterns; here they meet the names that exist.
import type { Grant, PodFacts } from './model.ts';
import { patternOf } from './pattern.ts';

/** Which containers of this pod, on this node, an agent mirrors. A pattern that is none matches nothing. */
export function grantedContainers(
  grants: Grant[],
  pod: Pick<PodFacts, 'containers' | 'ephemeralContainers'>,
  nodeName: string,
): string[] {
  const here = grants.filter((grant) => anyMatches(grant.nodes, nodeName));
  const names = new Set([...pod.containers, ...pod.ephemeralContainers]);
  return [...names].filter((name) => here.some((grant) => anyMatches(grant.containers, name)));
}

function anyMatches(patterns: string[], text: string): boolean {
  return patterns.some((source) => patternOf(source)?.matches(text) ?? false);
}
