// Which containers of a pod are mirrored, and what decided for each.
import type { KnownPod } from '../cluster/view.ts';
import { type Grant, grantedContainers, type Verdict } from '../intent/model.ts';
import { listed, show } from '../intent/show.ts';
import type { ContainerVerdict } from './explanation.ts';

/**
 * `ofClass`: what is granted to all pods of the class together, which is what agents are given; an ephemeral container
 * of one pod may take part in it. Empty for a pod that is in no class.
 */
export function containerVerdicts(pod: KnownPod, verdict: Verdict, ofClass: Grant[]): ContainerVerdict[] {
  const decided = ofClass.length > 0 ? { ...verdict, grants: ofClass } : verdict;
  const verdictOf = (ephemeral: boolean) => (name: string) => ({
    name,
    ephemeral,
    ...decide(name, pod.nodeName, decided),
  });
  return [...pod.containers.map(verdictOf(false)), ...pod.ephemeralContainers.map(verdictOf(true))];
}

function decide(
  name: string,
  nodeName: string | undefined,
  { mirrored, grants, because }: Verdict,
): Pick<ContainerVerdict, 'mirrored' | 'because'> {
  if (!mirrored) return { mirrored: false, because };
  const naming = grants.filter((grant) => namesContainer(grant, name));
  if (naming.length === 0) return { mirrored: false, because: othersNamed(grants) };
  const here = naming.filter((grant) => holdsOn(grant, nodeName));
  if (here.length > 0) return { mirrored: true, because: reasonsOf(here) };
  const where = nodeName === undefined ? 'the pod is not scheduled yet' : `the pod runs on ${show(nodeName)}`;
  const nodes = [...new Set(naming.flatMap((grant) => grant.nodes))];
  return { mirrored: false, because: `${reasonsOf(naming)} is for nodes ${patterns(nodes)}; ${where}` };
}

function othersNamed(grants: Grant[]): string {
  const named = [...new Set(grants.flatMap(({ containers }) => containers))];
  return `no rule names it, only ${patterns(named)}`;
}

export function namesContainer({ containers }: Grant, name: string): boolean {
  const anywhere = { containers, nodes: ['*'], because: '' };
  return grantedContainers([anywhere], { containers: [name], ephemeralContainers: [] }, 'any').length > 0;
}

/** A node that is not chosen yet: only a grant for every node surely holds there. */
export function holdsOn({ nodes }: Grant, nodeName: string | undefined): boolean {
  if (nodeName === undefined) return nodes.includes('*');
  const anything = { containers: ['*'], nodes, because: '' };
  return grantedContainers([anything], { containers: ['any'], ephemeralContainers: [] }, nodeName).length > 0;
}

const maxReasons = 3;

export function reasonsOf(grants: Grant[]): string {
  return listed([...new Set(grants.map(({ because }) => because))], maxReasons);
}

const maxPatterns = 5;

export function patterns(sources: string[]): string {
  return listed(sources.map(show), maxPatterns);
}
