// What is to be mirrored on this node, and why. Pure: pods, intent and cgroups are arguments.
import { classOf } from '../../webhook/intent/class.ts';
import type { Intent } from '../../webhook/intent/document.ts';
import { grantFor, grantsOnNode } from '../../webhook/intent/grant.ts';
import type { Grant } from '../../webhook/intent/model.ts';
import type { NodePod } from './pod.ts';
import type { ContainerCgroup, PodCgroup } from './pod-cgroups.ts';

export interface NodeFacts {
  /** Of this node. */
  pods: Iterable<NodePod>;
  /** null: nobody asks for anything. */
  intent: Intent | null;
  node: string;
  ownNamespace: string;
  /** By the uid in its name. */
  cgroups: ReadonlyMap<string, PodCgroup>;
  /** What the mounts of a container tell, by its id; the pod's status may tell more, or later. */
  nameOf(id: string): string | undefined;
}

export interface Decision {
  wanted: WantedPod[];
  refused: Refusal[];
  /** Chosen containers that run, by the pod's status, and have no cgroup here. */
  missing: { pod: NodePod; container: string }[];
}

/** A pod of which something is to be mirrored, and whose cgroup is there. */
export interface WantedPod {
  pod: NodePod;
  cgroup: PodCgroup;
  containers: DecidedContainer[];
}

export interface DecidedContainer {
  cgroup: ContainerCgroup;
  /** undefined: not known (yet), as that of the pod's sandbox. */
  name: string | undefined;
  /** The rule that asks for it, in words; undefined: none does. */
  because: string | undefined;
}

/** Somebody asked for this pod, and still it is not mirrored, or not this container of it. */
export interface Refusal {
  pod: NodePod;
  /** undefined: the whole pod. */
  container: string | undefined;
  /** A sentence without a final stop. */
  because: string;
  /** Nobody wants it so. */
  isProblem: boolean;
}

export function decide(facts: NodeFacts): Decision {
  const decision: Decision = { wanted: [], refused: [], missing: [] };
  const { intent } = facts;
  if (intent === null) return decision;
  const asked = [...facts.pods].flatMap((pod) => {
    const found = pod.completed ? undefined : classOf(pod, intent.meta);
    const grants = (found && intent.classes.get(found.id)) ?? [];
    return grants.length > 0 ? [{ pod, grants }] : [];
  });
  const twice = sharedUids(facts.pods);
  for (const { pod, grants } of asked) {
    const why = refusalOf(pod, grants, twice, facts);
    if (why === undefined) decidePod(pod, grantsOnNode(grants, facts.node), facts, decision);
    else decision.refused.push({ pod, container: undefined, ...why });
  }
  return decision;
}

function refusalOf(
  pod: NodePod,
  grants: Grant[],
  twice: ReadonlySet<string>,
  { node, ownNamespace }: NodeFacts,
): Pick<Refusal, 'because' | 'isProblem'> | undefined {
  if (pod.namespace === ownNamespace) {
    return { because: "podmirror's own namespace is never mirrored", isProblem: false };
  }
  if (twice.has(pod.cgroupUid)) {
    const because = `another pod claims the same cgroup (${pod.cgroupUid}). Delete the one that is no static pod of this node`;
    return { because, isProblem: true };
  }
  if (grantsOnNode(grants, node).length > 0) return undefined;
  const nodes = [...new Set(grants.flatMap((grant) => grant.nodes))].join(', ');
  const because = `${becauseOf(grants)} asks for it on nodes ${nodes}, and this is ${node}`;
  return { because, isProblem: false };
}

function decidePod(pod: NodePod, grants: Grant[], facts: NodeFacts, into: Decision): void {
  const chosen = new Map<string, string>();
  for (const name of new Set([...pod.containers, ...pod.ephemeralContainers])) {
    const grant = grantFor(grants, name);
    if (grant) chosen.set(name, grant.because);
    else into.refused.push({ pod, container: name, because: siblingWords(grants), isProblem: false });
  }
  const cgroup = facts.cgroups.get(pod.cgroupUid);
  const byId = new Map(pod.statuses.map(({ id, name }) => [id, name]));
  const containers = (cgroup?.containers ?? []).map((container) => {
    const name = byId.get(container.id) ?? facts.nameOf(container.id);
    return { cgroup: container, name, because: name === undefined ? undefined : chosen.get(name) };
  });
  if (cgroup && chosen.size > 0) into.wanted.push({ pod, cgroup, containers });

  const here = new Set(cgroup?.containers.map(({ id }) => id));
  for (const { name, id, running } of pod.statuses) {
    if (running && chosen.has(name) && !here.has(id)) into.missing.push({ pod, container: name });
  }
}

/** Uids of cgroups that more than one pod claims: only a mirror of a static pod names another uid than its own. */
function sharedUids(pods: Iterable<NodePod>): Set<string> {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const { cgroupUid, completed } of pods) {
    if (completed) continue;
    if (seen.has(cgroupUid)) twice.add(cgroupUid);
    seen.add(cgroupUid);
  }
  return twice;
}

function siblingWords(grants: Grant[]): string {
  const names = [...new Set(grants.flatMap(({ containers }) => containers))].join(', ');
  return `${becauseOf(grants)} names ${names} only`;
}

const becauseOf = (grants: Grant[]): string => [...new Set(grants.map(({ because }) => because))].join('; ');
