import test from 'ava';
import { filtersOf, namespaceOf, podOf, settings } from './fake/facts.ts';
import { annotated, rows } from './fake/rows.ts';
import { grantedContainers, type PodFacts } from './model.ts';
import { resolveIntent } from './resolve.ts';

for (const { number, title, mirror, filters = '', pods, warning } of rows) {
  test(`${number} ${title}`, (t) => {
    for (const [facts, containers, rule] of pods) {
      const pod = podOf(facts);
      const namespace = namespaceOf(pod.namespace, mirror);
      const verdict = resolveIntent({ pod, namespace, filters: filtersOf(filters), settings });
      const shown = JSON.stringify(facts);
      t.deepEqual(grantedContainers(verdict.grants, pod, pod.nodeName ?? 'worker-1'), containers, shown);
      if (rule !== undefined) t.is(verdict.rule, rule, shown);
      if (warning) t.regex(verdict.warnings.join('\n'), warning, shown);
      else t.deepEqual(verdict.warnings, [], shown);
    }
  });
}

test('25 a label or filter that changes at run time changes the next verdict', (t) => {
  const pod = podOf();
  const rules = [
    [undefined, ''],
    ['enabled', ''],
    ['disabled', 'filters: [{namespace: shop}]'],
    [undefined, 'filters: [{namespace: shop}]'],
    [undefined, 'filters: [{namespace: bank}]'],
  ].map(([mirror, filters]) => {
    const namespace = namespaceOf('shop', mirror);
    return resolveIntent({ pod, namespace, filters: filtersOf(filters ?? ''), settings }).rule;
  });
  t.deepEqual(rules, ['nothing-asked', 'namespace-enabled', 'namespace-disabled', 'filter', 'nothing-asked']);
});

test('26 a pod that is seen before its namespace is not mirrored until that is known', (t) => {
  const pod = podOf(annotated('true'));
  const filters = filtersOf('allNamespaces: true');
  const before = resolveIntent({ pod, namespace: undefined, filters, settings });
  const after = resolveIntent({ pod, namespace: namespaceOf('shop'), filters, settings });
  t.like(before, { mirrored: false, rule: 'namespace-unknown', because: 'namespace shop is not known yet' });
  t.like(after, { mirrored: true, rule: 'pod-enabled' });
});

test('a filter with a node never widens another filter', (t) => {
  const filters = filtersOf('filters: [{container_name: web, node_name: worker-1}, {container_name: proxy}]');
  const pod = podOf();
  const { grants } = resolveIntent({ pod, namespace: namespaceOf('shop'), filters, settings });
  t.deepEqual(grantedContainers(grants, pod, 'worker-1'), ['web', 'proxy']);
  t.deepEqual(grantedContainers(grants, pod, 'worker-2'), ['proxy']);
});

test('what people read of each verdict', (t) => {
  const filters = filtersOf(
    "filters: [{namespace: 'shop-*', container_name: web}, {namespace: shop, pod_labels: {team: 'backend,ops'}}, {pod_name: 'api-*'}]",
  );
  const everything = filtersOf('allNamespaces: true\nfilters: [{container_name: web}]');
  const read = (title: string, pod: PodFacts, mirror?: string, used = filters) => {
    const { grants: _, ...words } = resolveIntent({
      pod,
      namespace: namespaceOf(pod.namespace, mirror),
      filters: used,
      settings,
    });
    t.snapshot(words, title);
  };
  read('nothing asks', podOf());
  read('nothing asks, and there are no filters', podOf(), undefined, filtersOf(''));
  read(
    'a label on the pod instead of its namespace',
    podOf({ namespace: 'x', labels: { 'wallarm-mirror': 'enabled' } }),
  );
  read('a near miss', podOf({ labels: { team: 'frontend' } }));
  read('no name yet', podOf({ namespace: 'x', name: undefined }));
  read('two filters', podOf({ namespace: 'shop-eu', name: 'api-1' }));
  read('disabled against everything', podOf({ ...annotated('true'), labels: { team: 'ops' } }), 'disabled');
  read('enabled makes filters moot', podOf({ labels: { team: 'ops' } }), 'enabled');
  read(
    'on another node',
    podOf({ nodeName: 'worker-2' }),
    undefined,
    filtersOf('filters: [{node_name: worker-1}]'),
  );
  read('allNamespaces beside a filter', podOf(), undefined, everything);
  read('an annotation from a stranger', podOf(annotated(`\n\u202e${'x'.repeat(5000)}`)));
});
