// What an agent does about a pod, given what the ConfigMap holds now.
import type { KnownPod } from '../cluster/view.ts';
import { isFinished } from '../controller/desired.ts';
import { type Grant, grantedContainers } from '../intent/model.ts';
import { listed, show } from '../intent/show.ts';
import { holdsOn, namesContainer, patterns, reasonsOf } from './containers.ts';
import type { AgentPlan, Stored } from './explanation.ts';

export function agentPlan(pod: KnownPod, { classId, configMap, grants }: Stored): AgentPlan {
  if (isFinished(pod)) return nothing(`the pod is finished (${pod.phase})`);
  if (classId === null) return nothing('it has no intent to read');
  if (grants.length === 0) return nothing(`${configMap} has no entry ${classId}`);
  const { nodeName } = pod;
  return nodeName === undefined ? unscheduled(pod, grants) : onNode(pod, grants, nodeName);
}

function nothing(because: string): AgentPlan {
  return { attaches: [], whenScheduled: [], because };
}

function onNode(pod: KnownPod, grants: Grant[], nodeName: string): AgentPlan {
  const here = grants.filter((grant) => holdsOn(grant, nodeName));
  if (here.length === 0) {
    const nodes = [...new Set(grants.flatMap((grant) => grant.nodes))];
    return nothing(`the entry is for nodes ${patterns(nodes)}, and the pod runs on ${show(nodeName)}`);
  }
  const attaches = grantedContainers(here, pod, nodeName);
  if (attaches.length === 0) {
    const named = [...new Set(here.flatMap(({ containers }) => containers))];
    return nothing(
      `the entry is for containers ${patterns(named)}, and the pod has ${patterns(namesOf(pod))}`,
    );
  }
  const used = here.filter((grant) => attaches.some((name) => namesContainer(grant, name)));
  return { attaches, whenScheduled: [], because: reasonsOf(used) };
}

const maxTold = 10;

function unscheduled(pod: KnownPod, grants: Grant[]): AgentPlan {
  const places = new Map<string, { nodes: string[]; containers: Set<string> }>();
  for (const grant of grants) {
    const key = JSON.stringify(grant.nodes);
    const place = places.get(key) ?? { nodes: grant.nodes, containers: new Set() };
    places.set(key, place);
    for (const name of namesOf(pod)) if (namesContainer(grant, name)) place.containers.add(name);
  }
  const whenScheduled = [...places.values()]
    .map(({ nodes, containers }) => ({ nodes, containers: [...containers] }))
    .filter(({ containers }) => containers.length > 0)
    .slice(0, maxTold);
  return { attaches: [], whenScheduled, because: 'the pod is not scheduled to a node yet' };
}

function namesOf({ containers, ephemeralContainers }: KnownPod): string[] {
  return [...new Set([...containers, ...ephemeralContainers])];
}

/** "web, proxy on any node". */
export function renderPlace({ nodes, containers }: AgentPlan['whenScheduled'][number]): string {
  const where = nodes.includes('*') ? 'any node' : `a node that matches ${patterns(nodes)}`;
  return `${listed(containers.map(show), maxTold)} on ${where}`;
}
