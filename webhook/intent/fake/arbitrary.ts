// Anything that a cluster might hold, near enough to the filters that they match now and then.
import fc from 'fast-check';
import { stringify } from 'yaml';
import type { Filters } from '../filters.ts';
import type { Grant, NamespaceFacts, PodFacts } from '../model.ts';
import { filtersOf, settings } from './facts.ts';

const words = [
  'shop',
  'bank',
  'podmirror',
  'kube-system',
  'team',
  'app',
  'web',
  'proxy',
  '__proto__',
  'a.b/c',
];
const word = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...words) }, fc.string({ maxLength: 12 }));

/** Includes own keys such as __proto__, which JSON.parse makes of an API object. */
const map = (switchKey: string, values: string[]) =>
  fc
    .record({
      pairs: fc.array(fc.tuple(word, word), { maxLength: 4 }),
      value: fc.option(fc.oneof(fc.constantFrom(...values), word), { nil: undefined }),
    })
    .map(({ pairs, value }): Record<string, string> => {
      return Object.fromEntries([...pairs, ...(value === undefined ? [] : [[switchKey, value]])]);
    });

export const anyPod: fc.Arbitrary<PodFacts> = fc.record({
  namespace: word,
  name: fc.option(word, { nil: undefined }),
  labels: map('team', ['backend', 'ops']),
  annotations: map(settings.annotationKey, ['true', 'false', 'yes']),
  containers: fc.uniqueArray(word, { maxLength: 4 }),
  ephemeralContainers: fc.uniqueArray(word, { maxLength: 2 }),
  nodeName: fc.option(word, { nil: undefined }),
});

export const anyNamespace = (name: string): fc.Arbitrary<NamespaceFacts | undefined> =>
  fc.option(
    map(settings.labelKey, ['enabled', 'disabled', 'on']).map((labels) => ({ name, labels })),
    { nil: undefined },
  );

/** A pod and what is known of its namespace. */
export const anyPlace = anyPod.chain((pod) =>
  anyNamespace(pod.namespace).map((namespace) => ({ pod, namespace })),
);

export const anyPattern = fc.constantFrom(
  'shop',
  'web',
  '*',
  'we?',
  '!web',
  'shop,bank',
  '{team,app}',
  '[a-p]*',
  'b*,ops',
);
const key = fc.constantFrom('team', 'app', 'a.b/c');
const patterns = fc.dictionary(key, anyPattern, { minKeys: 1, maxKeys: 2 });

export const anyItem = fc
  .record(
    {
      namespace: anyPattern,
      pod_labels: patterns,
      pod_annotations: patterns,
      pod_name: anyPattern,
      container_name: anyPattern,
      node_name: anyPattern,
    },
    { requiredKeys: [] },
  )
  .filter((item) => Object.keys(item).length > 0);

export type Item = typeof anyItem extends fc.Arbitrary<infer T> ? T : never;

export function filtersFrom(filters: Item[], allNamespaces: boolean): Filters {
  return filtersOf(stringify({ allNamespaces, filters }));
}

export const anyFilters = fc
  .tuple(fc.array(anyItem, { maxLength: 5 }), fc.boolean())
  .map(([items, all]) => filtersFrom(items, all));

export const anyGrant: fc.Arbitrary<Grant> = fc.record({
  containers: fc.array(anyPattern, { minLength: 1, maxLength: 3 }),
  nodes: fc.array(anyPattern, { minLength: 1, maxLength: 3 }),
  because: fc.string({ maxLength: 40 }),
});
