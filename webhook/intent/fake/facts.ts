// Pods and namespaces for tests.
import { type Filters, parseFilters, renderProblem } from '../filters.ts';
import { defaultSettings, type NamespaceFacts, type PodFacts } from '../model.ts';

export const settings = defaultSettings('podmirror');

export function podOf(facts: Partial<PodFacts> = {}): PodFacts {
  return {
    namespace: 'shop',
    name: 'web-6d4cf56db6-x7k2p',
    labels: {},
    annotations: {},
    containers: ['web', 'proxy'],
    ephemeralContainers: [],
    nodeName: undefined,
    ...facts,
  };
}

export function namespaceOf(name: string, mirror?: string): NamespaceFacts {
  const labels = { 'kubernetes.io/metadata.name': name };
  return { name, labels: mirror === undefined ? labels : { ...labels, [settings.labelKey]: mirror } };
}

/** Throws when they are refused. */
export function filtersOf(yaml: string): Filters {
  const { filters, problems } = parseFilters(yaml);
  if (!filters) throw new Error(problems.map(renderProblem).join('\n'));
  return filters;
}
