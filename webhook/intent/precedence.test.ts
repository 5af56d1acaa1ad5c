import test from 'ava';
import fc from 'fast-check';
import { classOf, metaOf } from './class.ts';
import { anyFilters, anyItem, anyPlace, anyPod, filtersFrom } from './fake/arbitrary.ts';
import { settings } from './fake/facts.ts';
import { grantedContainers } from './model.ts';
import { resolveIntent } from './resolve.ts';

const input = fc.tuple(anyPlace, anyFilters).map(([place, filters]) => ({ ...place, filters, settings }));
const annotate = (pod: typeof anyPod extends fc.Arbitrary<infer T> ? T : never, value: string) => {
  return { ...pod, annotations: { ...pod.annotations, [settings.annotationKey]: value } };
};

test('every pod gets a verdict with a reason, and grants exactly when it is mirrored', (t) => {
  fc.assert(
    fc.property(input, (facts) => {
      const { mirrored, because, grants, lost, warnings } = resolveIntent(facts);
      t.is(mirrored, grants.length > 0);
      for (const sentence of [because, ...lost.map((reason) => reason.because), ...warnings]) {
        t.regex(sentence, /^\S.*\S$/, 'one line');
      }
    }),
  );
});

test('another filter never takes a container away, as long as allNamespaces is not beside it', (t) => {
  fc.assert(
    fc.property(
      anyPlace,
      fc.array(anyItem, { maxLength: 3 }),
      anyItem,
      fc.nat(3),
      (place, items, item, at) => {
        const granted = (list: (typeof item)[]) => {
          const { grants } = resolveIntent({ ...place, filters: filtersFrom(list, false), settings });
          return grantedContainers(grants, place.pod, 'web');
        };
        const more = new Set(granted(items.toSpliced(at, 0, item)));
        t.true(granted(items).every((name) => more.has(name)));
      },
    ),
  );
});

test('another filter never ends the mirroring of a pod, whatever stands beside it', (t) => {
  fc.assert(
    fc.property(
      anyPlace,
      fc.array(anyItem, { maxLength: 3 }),
      anyItem,
      fc.boolean(),
      (place, items, item, all) => {
        const mirrored = (list: (typeof item)[]) => {
          return resolveIntent({ ...place, filters: filtersFrom(list, all), settings }).mirrored;
        };
        t.true(!mirrored(items) || mirrored([...items, item]));
      },
    ),
  );
});

test('the annotation "false" never adds a grant, and with a known namespace nothing is left', (t) => {
  fc.assert(
    fc.property(input, (facts) => {
      t.deepEqual(resolveIntent({ ...facts, pod: annotate(facts.pod, 'false') }).grants, []);
    }),
  );
});

test('the annotation "true" never takes a container away', (t) => {
  fc.assert(
    fc.property(input, (facts) => {
      const before = resolveIntent(facts).grants;
      if (facts.pod.annotations[settings.annotationKey] === 'false') return;
      const after = new Set(
        grantedContainers(
          resolveIntent({ ...facts, pod: annotate(facts.pod, 'true') }).grants,
          facts.pod,
          'web',
        ),
      );
      t.true(grantedContainers(before, facts.pod, 'web').every((name) => after.has(name)));
    }),
  );
});

test('a disabled, excluded or unknown namespace wins over everything', (t) => {
  fc.assert(
    fc.property(input, fc.constantFrom('true', 'false'), ({ pod, namespace, filters }, value) => {
      const asked = annotate(pod, value);
      const labels = { ...namespace?.labels, [settings.labelKey]: 'disabled' };
      const disabled = { name: pod.namespace, labels };
      const enabled = { name: pod.namespace, labels: { ...labels, [settings.labelKey]: 'enabled' } };
      const excluding = { ...settings, excludedNamespaces: [pod.namespace] };
      const resolve = (facts: Partial<Parameters<typeof resolveIntent>[0]>) => {
        return resolveIntent({ pod: asked, namespace: enabled, filters, settings, ...facts }).mirrored;
      };
      t.false(resolve({ namespace: disabled }));
      t.false(resolve({ namespace: undefined }));
      t.false(resolve({ settings: excluding }));
      t.false(resolve({ settings: { ...settings, ownNamespace: pod.namespace } }));
    }),
  );
});

test('pods of one class get the same grants, ephemeral containers apart', (t) => {
  const pods = fc.tuple(
    anyPlace,
    anyPod,
    fc.constantFrom('name', 'labels', 'annotations', 'nodeName', 'containers'),
  );
  fc.assert(
    fc.property(pods, anyFilters, ([{ pod, namespace }, other, field], filters) => {
      const one = { ...pod, ephemeralContainers: [] };
      const two = { ...one, [field]: other[field as keyof typeof other] };
      const meta = metaOf(filters, settings);
      const id = classOf(one, meta)?.id;
      if (id === undefined || id !== classOf(two, meta)?.id) return;
      const grantsOf = (facts: typeof pod) =>
        resolveIntent({ pod: facts, namespace, filters, settings }).grants;
      t.deepEqual(grantsOf(one), grantsOf(two));
    }),
    { numRuns: 1000 },
  );
});
