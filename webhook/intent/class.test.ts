import test from 'ava';
import fc from 'fast-check';
import { classOf, metaOf } from './class.ts';
import { anyFilters, anyPod } from './fake/arbitrary.ts';
import { filtersOf, podOf, settings } from './fake/facts.ts';
import { noFilters } from './filters.ts';

const filters = filtersOf(
  "filters: [{pod_labels: {team: ops}, pod_name: 'web-*'}, {pod_annotations: {tier: '*'}}]",
);
const meta = metaOf(filters, settings);
const id = (facts: Parameters<typeof podOf>[0]) => classOf(podOf(facts), meta)?.id;

test('a meta names every key that a filter mentions, and the annotation', (t) => {
  t.deepEqual(meta, {
    version: 1,
    labelKeys: ['team'],
    annotationKeys: ['mirror.wallarm.com/enabled', 'tier'],
    namePatterns: ['web-*'],
    filtersHash: filters.hash,
    shards: 1,
  });
  t.deepEqual(metaOf(noFilters, settings, 4).shards, 4);
});

const rows: [title: string, facts: Parameters<typeof podOf>[0], same: boolean][] = [
  ['a label that no filter mentions', { labels: { pod: 'x' } }, true],
  ['another name that the same patterns match', { name: 'web-2' }, true],
  ['another node', { nodeName: 'worker-9' }, true],
  ['an ephemeral container', { ephemeralContainers: ['debug'] }, true],
  ['another order of containers', { containers: ['proxy', 'web'] }, true],
  ['another namespace', { namespace: 'bank' }, false],
  ['another container', { containers: ['web'] }, false],
  ['a mentioned label', { labels: { team: 'ops' } }, false],
  ['a mentioned label that is empty', { labels: { team: '' } }, false],
  ['a mentioned annotation', { annotations: { tier: '1' } }, false],
  ['the annotation of podmirror', { annotations: { [settings.annotationKey]: 'true' } }, false],
  ['a name that other patterns match', { name: 'api-1' }, false],
];

for (const [title, facts, same] of rows) {
  test(`${title} ${same ? 'keeps' : 'changes'} the class`, (t) => {
    t.is(id(facts) === id({}), same);
  });
}

test('a class is unknown while a filter asks for the name of a pod that has none', (t) => {
  t.is(id({ name: undefined }), undefined);
  t.truthy(classOf(podOf({ name: undefined }), metaOf(noFilters, settings)));
});

test('the id is the namespace and the beginning of the hash of the descriptor', (t) => {
  t.snapshot(classOf(podOf({ labels: { team: 'ops' } }), meta));
});

test('a class stays small however many keys the filters name', (t) => {
  const yaml = Array.from(
    { length: 1000 },
    (_, index) => `{pod_labels: {key-${index}: x}, pod_name: 'p-${index}-*'}`,
  );
  const large = metaOf(filtersOf(`filters: [${yaml.join(', ')}]`), settings);
  const found = classOf(podOf({ labels: { 'key-7': 'x' }, name: 'p-7-a' }), large);
  t.true((found?.descriptor.length ?? 1e9) < 300, found?.descriptor);
});

test('the order of maps and containers, and labels that nobody mentions, do not change the class', (t) => {
  fc.assert(
    fc.property(anyPod, anyFilters, fc.string(), ({ ...pod }, used, value) => {
      const reversed = (map: Record<string, string>) => Object.fromEntries(Object.entries(map).reverse());
      const other = {
        ...pod,
        containers: pod.containers.toReversed(),
        labels: { 'nobody/mentions': value, ...reversed(pod.labels) },
        annotations: { ...reversed(pod.annotations), 'nobody/mentions': value },
      };
      const own = metaOf(used, settings);
      t.deepEqual(classOf(other, own), classOf(pod, own));
    }),
  );
});

test('metas with different keys have no id in common, and hash and shards are no part of it', (t) => {
  fc.assert(
    fc.property(anyPod, anyFilters, anyFilters, (pod, used, others) => {
      const [one, two] = [metaOf(used, settings), metaOf(others, settings, 2)];
      const keys = ({ labelKeys, annotationKeys, namePatterns }: typeof one) =>
        JSON.stringify([labelKeys, annotationKeys, namePatterns]);
      const named = { ...pod, name: 'web' };
      t.is(keys(one) === keys(two), classOf(named, one)?.descriptor === classOf(named, two)?.descriptor);
      t.is(keys(one) === keys(two), classOf(named, one)?.id === classOf(named, two)?.id);
    }),
  );
});
