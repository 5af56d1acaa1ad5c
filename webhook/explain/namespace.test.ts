import test from 'ava';
import type { FakeCluster } from '../admission/fake/view.ts';
import type { NamespaceExplanation } from './explanation.ts';
import { deployment, viewOf } from './fake/view.ts';
import { explainNamespace } from './namespace.ts';

const replicas = (name: string, count: number, more: object = {}) =>
  Array.from({ length: count }, (_, index) => ({
    namespace: 'shop',
    name: `${name}-7d4b-${index}`,
    containers: [name],
    ...deployment(name),
    ...more,
  }));

function explained(cluster: FakeCluster, name = 'shop'): NamespaceExplanation {
  const explanation = explainNamespace(viewOf(cluster), name);
  if (explanation.kind !== 'namespace') throw new Error(JSON.stringify(explanation));
  return explanation;
}

test('pods are grouped by class, the largest first, each with an example and its workload', (t) => {
  const filters = 'filters: [{namespace: shop, container_name: api}]';
  const pods = [...replicas('web', 2), ...replicas('api', 3), ...replicas('old', 1, { phase: 'Failed' })];
  const { classes, ...about } = explained({ filters, pods });
  t.is(about.pods, 5);
  t.is(about.finished, 1);
  t.deepEqual(
    classes.map(({ pods, example, workload, mirrored, stored }) => [
      pods,
      example,
      workload,
      mirrored,
      stored.grants.length,
    ]),
    [
      [3, 'api-7d4b-0', 'Deployment api', true, 1],
      [2, 'web-7d4b-0', 'Deployment web', false, 0],
    ],
  );
});

test('workloads of one class are counted', (t) => {
  const pods = [...replicas('a', 1, { containers: ['web'] }), ...replicas('b', 1, { containers: ['web'] })];
  t.is(explained({ pods }).classes[0]?.moreWorkloads, 1);
});

test('no more than 100 classes are told', (t) => {
  const pods = Array.from({ length: 130 }, (_, index) => replicas(`w${index}`, 1)).flat();
  const { classes, moreClasses } = explained({ pods });
  t.is(classes.length, 100);
  t.is(moreClasses, 30);
});

const labels: [value: string | null, says: RegExp, warning?: RegExp][] = [
  ['enabled', /=enabled: its pods are mirrored, but for those annotated mirror.wallarm.com\/enabled=false$/],
  ['disabled', /=disabled: nothing in it is mirrored$/],
  [null, /^namespace shop has no label wallarm-mirror: annotations of its pods and the filters decide$/],
  ['true', /=true, which counts as unset: annotations of its pods and the filters decide$/, /Write enabled$/],
];

for (const [value, says, warning] of labels) {
  test(`a namespace labelled ${value} is told in words`, (t) => {
    const { namespace } = explained({ namespaces: { shop: value } });
    t.is(namespace.label, value);
    t.regex(namespace.says, says);
    if (warning) t.regex(namespace.warning ?? '', warning);
    else t.is(namespace.warning, null);
  });
}

test('excluded namespaces say that nothing in them is mirrored, however they are labelled', (t) => {
  const namespaces = { podmirror: 'enabled', 'kube-system': 'enabled' };
  t.regex(explained({ namespaces }, 'podmirror').namespace.says, /own and never mirrored: nothing in it/);
  t.regex(explained({ namespaces }, 'kube-system').namespace.says, /excluded.*: nothing in it is mirrored/);
});

test('a namespace that is only known by its pods says so', (t) => {
  const { namespace } = explained({ namespaces: {}, pods: replicas('web', 1) });
  t.false(namespace.known);
  t.regex(namespace.says, /^namespace shop is not known yet: nothing in it is mirrored$/);
});

test('for a namespace that is not there, the nearest are named', (t) => {
  const namespaces = { shop: null, 'shop-eu': null, 'shop-us': null, bank: null };
  const explanation = explainNamespace(viewOf({ namespaces }), 'shop-');
  if (explanation.kind !== 'unknown') return t.fail();
  t.deepEqual(explanation.near, ['shop-eu', 'shop-us', 'shop']);
});
