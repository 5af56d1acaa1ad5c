// A filter meets a pod.
import type { Filter, KeyPattern } from './filter.ts';
import type { PodFacts } from './model.ts';
import type { Pattern } from './pattern.ts';
import { listed, show } from './show.ts';

/** Says why a key does not hold, and shows the pod's value; a function, because few of very many are told. */
export type Failure = () => string;

/**
 * The keys of a filter that do not hold; none: it matches.
 * Stops after two, because only a filter that fails in one key is worth telling. `node_name` is the agent's to apply.
 * A label that is not there matches no pattern, a negated one neither.
 */
export function failuresOf(filter: Filter, pod: PodFacts): Failure[] {
  const failures: Failure[] = [];
  for (const failure of failing(filter, pod)) {
    failures.push(failure);
    if (failures.length === 2) break;
  }
  return failures;
}

function* failing(filter: Filter, pod: PodFacts): Generator<Failure> {
  const { namespace, podName, containerName } = filter;
  if (fails(namespace, pod.namespace)) yield () => `the namespace is ${show(pod.namespace)}`;
  yield* failingPairs('label', filter.podLabels, pod.labels);
  yield* failingPairs('annotation', filter.podAnnotations, pod.annotations);
  const { name } = pod;
  if (podName && name === undefined) yield () => "the pod's name is not chosen yet (generateName)";
  else if (fails(podName, name ?? '')) yield () => `the pod is named ${show(name ?? '')}`;
  if (containerName && !containerNames(pod).some((container) => containerName.matches(container))) {
    yield () => `its containers are ${listed(containerNames(pod).map(show), 10) || 'not known'}`;
  }
}

function containerNames({ containers, ephemeralContainers }: PodFacts): string[] {
  return [...containers, ...ephemeralContainers];
}

function* failingPairs(kind: string, wanted: KeyPattern[], have: Record<string, string>): Generator<Failure> {
  for (const [key, pattern] of wanted) {
    const value = Object.hasOwn(have, key) ? have[key] : undefined;
    if (value === undefined) yield () => `the pod has no ${kind} ${key}`;
    else if (!pattern.matches(value)) yield () => `the pod's ${kind} ${key} is ${show(value)}`;
  }
}

function fails(pattern: Pattern | undefined, text: string): boolean {
  return pattern !== undefined && !pattern.matches(text);
}
