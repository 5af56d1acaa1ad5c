// An explanation as people read it.
import type { Grant, Verdict } from '../intent/model.ts';
import { listed, show } from '../intent/show.ts';
import { renderPlace } from './agent.ts';
import { patterns } from './containers.ts';
import type {
  AgentPlan,
  ClassSummary,
  ContainerVerdict,
  Explanation,
  FiltersSummary,
  NamespaceExplanation,
  PodExplanation,
  Stored,
} from './explanation.ts';
import { bullets, counted, facts, paragraph, section, textOf } from './text.ts';
import { renderUnknown } from './unknown.ts';

export function renderExplanation(explanation: Explanation): string {
  switch (explanation.kind) {
    case 'pod':
      return renderPod(explanation);
    case 'namespace':
      return renderNamespace(explanation);
    case 'unknown':
      return textOf([paragraph(renderUnknown(explanation))]);
  }
}

function renderPod(explanation: PodExplanation): string {
  const { synced, pod, namespace, filters, verdict, containers, classId, stored, agent } = explanation;
  const about = [
    ['phase', pod.phase],
    ['node', pod.node ?? 'none yet'],
    ['workload', pod.workload],
    ['label', namespace.says],
    ['class', classId],
  ] as const;
  return textOf([
    notSynced(synced),
    [...paragraph(`pod ${pod.namespace}/${pod.name}`), ...facts(about)],
    paragraph(`${headlineOf(explanation)}: ${verdict.because}`),
    section('Containers', facts(containers.map((container) => renderContainer(container, verdict)))),
    section('What did not decide', bullets(verdict.lost.map(({ because }) => because))),
    section('Warnings', bullets(verdict.warnings)),
    renderFilters(filters),
    renderStored(stored),
    renderAgent(agent, pod.node),
  ]);
}

function headlineOf({ verdict, containers, pod }: PodExplanation): string {
  if (!verdict.mirrored) return 'Not mirrored';
  if (containers.some(({ mirrored }) => mirrored)) return 'Mirrored';
  return pod.node === null ? 'Mirrored on some nodes' : 'Mirrored, but not on this node';
}

/** A reason that is the pod's own was told just above. */
function renderContainer(
  { name, ephemeral, mirrored, because }: ContainerVerdict,
  verdict: Verdict,
): [string, string] {
  const words = `${ephemeral ? 'ephemeral, ' : ''}${mirrored ? 'mirrored' : 'not mirrored'}`;
  return [show(name), because === verdict.because ? words : `${words}: ${because}`];
}

function renderNamespace(explanation: NamespaceExplanation): string {
  const { synced, namespace, filters, pods, finished, classes, moreClasses } = explanation;
  const count = [
    counted(pods, 'pod'),
    ...(classes.length > 0 ? [`in ${counted(classes.length + moreClasses, 'class', 'classes')}`] : []),
    ...(finished > 0 ? [`and ${finished} finished`] : []),
  ];
  return textOf([
    notSynced(synced),
    [...paragraph(namespace.says), ...paragraph(count.join(' '))],
    section('Warnings', bullets(namespace.warning === null ? [] : [namespace.warning])),
    renderFilters(filters),
    unreadable(classes),
    ...classes.map(renderClass),
    moreClasses > 0 ? paragraph(`and ${moreClasses} more classes`) : [],
  ]);
}

/** Once, and not for each class. */
function unreadable([first]: ClassSummary[]): string[] {
  return first?.stored.classId === null ? renderStored(first.stored) : [];
}

function renderClass({ id, pods, example, workload, moreWorkloads, ...decided }: ClassSummary): string[] {
  const { mirrored, because, stored } = decided;
  const workloads = moreWorkloads > 0 ? `${workload} and ${moreWorkloads} more` : workload;
  return [
    ...paragraph(`class ${id}: ${counted(pods, 'pod')} of ${workloads}, such as ${example}`),
    ...paragraph(`${mirrored ? 'mirrored' : 'not mirrored'}: ${because}`, '  '),
    ...(stored.classId === null ? [] : paragraph(`${stored.configMap}: ${stored.because}`, '  ')),
  ];
}

function notSynced(synced: boolean): string[] {
  if (synced) return [];
  return paragraph(
    'The cluster was not read to the end yet: what follows may be wrong. Ask again in some seconds',
  );
}

function renderFilters({ problems }: FiltersSummary): string[] {
  return section(
    'The filters are refused, so none of them counts',
    bullets([...problems.slice(0, maxTold), ...moreThan(problems, 'problem')]),
  );
}

const maxTold = 10;

function moreThan(items: unknown[], noun: string): string[] {
  const rest = items.length - maxTold;
  return rest > 0 ? [`and ${rest} more ${noun}${rest === 1 ? '' : 's'}`] : [];
}

function renderStored({ configMap, classId, grants, because }: Stored): string[] {
  const heading = classId === null ? `ConfigMap ${configMap}` : `ConfigMap ${configMap}, class ${classId}`;
  return section(heading, [
    ...bullets([...grants.slice(0, maxTold).map(renderGrant), ...moreThan(grants, 'grant')]),
    ...paragraph(because, '  '),
  ]);
}

function renderGrant({ containers, nodes, because }: Grant): string {
  return `containers ${patterns(containers)} on nodes ${patterns(nodes)}: ${because}`;
}

function renderAgent({ attaches, whenScheduled, because }: AgentPlan, node: string | null): string[] {
  if (whenScheduled.length > 0) {
    return section('An agent attaches when the pod is scheduled', bullets(whenScheduled.map(renderPlace)));
  }
  const who = node === null ? 'An agent' : `The agent on ${node}`;
  const words =
    attaches.length === 0
      ? `attaches to nothing: ${because}`
      : `attaches to ${listed(attaches.map(show), maxTold)}: ${because}`;
  return section(who, paragraph(words, '  '));
}
