import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import test from 'ava';
import fc from 'fast-check';
import type { KnownPod } from '../cluster/view.ts';
import { metaOf } from '../intent/class.ts';
import { encodeIntent } from '../intent/document.ts';
import { type Filters, noFilters, parseFilters } from '../intent/filters.ts';
import { defaultSettings, type NamespaceFacts } from '../intent/model.ts';
import { resolveIntent } from '../intent/resolve.ts';
import { createDesired, desiredOf, type Snapshot } from './desired.ts';
import { atOnce } from './slices.ts';

const settings = defaultSettings('podmirror');

function pod(name: string, more: Partial<KnownPod> = {}): KnownPod {
  return {
    namespace: 'shop',
    name,
    labels: {},
    annotations: {},
    containers: ['web'],
    ephemeralContainers: [],
    nodeName: 'node-1',
    uid: `uid-${name}`,
    owner: undefined,
    phase: 'Running',
    ...more,
  };
}

function filtersOf(yaml: string): Filters {
  const { filters, problems } = parseFilters(yaml);
  if (!filters) throw new Error(JSON.stringify(problems));
  return filters;
}

function snapshot(pods: KnownPod[], namespaces: NamespaceFacts[], filters = noFilters): Snapshot {
  const known = new Map(namespaces.map((namespace) => [namespace.name, namespace]));
  return {
    settings,
    filters: () => ({ filters, problems: [], present: true }),
    namespace: (name) => known.get(name),
    pods: () => pods,
  };
}

const enabled: NamespaceFacts = { name: 'shop', labels: { 'wallarm-mirror': 'enabled' } };
const plain: NamespaceFacts = { name: 'shop', labels: {} };
const annotated = (value: string) => ({ annotations: { 'mirror.wallarm.com/enabled': value } });

test('replicas share one class, and what differs for intent has its own', (t) => {
  const pods = [pod('a'), pod('b'), pod('c', { containers: ['web', 'log'] }), pod('d', annotated('false'))];
  const { classes, alive, conflicts } = desiredOf(snapshot(pods, [enabled]));
  t.is(classes.size, 2);
  t.is(alive.size, 3);
  t.deepEqual(conflicts, []);
  t.true([...classes.keys()].every((id) => /^shop\.[0-9a-f]{16}$/.test(id)));
});

const rows: [string, KnownPod, NamespaceFacts[], string, number][] = [
  ['a pod that nobody asked for has no class in it', pod('a'), [plain], '', 0],
  ['a pod of an unknown namespace has none', pod('a', annotated('true')), [], '', 0],
  ['an annotated pod has one', pod('a', annotated('true')), [plain], '', 1],
  ['a pod that is finished has none', pod('a', { phase: 'Succeeded' }), [enabled], '', 0],
  ['a pod that failed has none', pod('a', { phase: 'Failed' }), [enabled], '', 0],
  ['a pod of unknown phase may be running', pod('a', { phase: 'Unknown' }), [enabled], '', 1],
  ['a pod that a filter names has one', pod('a'), [plain], 'filters: [{pod_name: a}]', 1],
  ['its sibling has none', pod('b'), [plain], 'filters: [{pod_name: a}]', 0],
];
for (const [sentence, one, namespaces, yaml, count] of rows) {
  test(sentence, (t) => {
    const { classes } = desiredOf(snapshot([one], namespaces, yaml === '' ? noFilters : filtersOf(yaml)));
    t.is(classes.size, count);
  });
}

test('pods of one class with other ephemeral containers grant the union, in one order', (t) => {
  const filters = filtersOf(
    'filters: [{namespace: shop, container_name: debug}, {namespace: shop, container_name: web}]',
  );
  const pods = [
    pod('a'),
    pod('b', { ephemeralContainers: ['debug'] }),
    pod('c', { ephemeralContainers: ['other'] }),
  ];
  const forward = desiredOf(snapshot(pods, [plain], filters)).classes;
  const backward = desiredOf(snapshot(pods.toReversed(), [plain], filters)).classes;
  t.is(forward.size, 1);
  t.deepEqual([...forward.values()][0]?.map(({ containers }) => containers).sort(), [['debug'], ['web']]);
  t.deepEqual(forward, backward);
});

test('two kinds of pods that share an id by chance are both left out, and told', (t) => {
  withWeakHashes(() => {
    const other = pod('other');
    const [a, b] = collision(other);
    const together = desiredOf(snapshot([a, b, other], [enabled]));
    t.is(together.conflicts.length, 1);
    t.deepEqual(together.conflicts[0]?.pods, ['shop/a', 'shop/b']);
    t.is(together.classes.size, 1);
    t.is(desiredOf(snapshot([a], [enabled])).classes.size, 1);
  });
});

/** Hashes of eight bits: 64 would have to be searched for years. */
function withWeakHashes(work: () => void): void {
  const { createHash } = crypto;
  const weak = (algorithm: string) => {
    const hash = createHash(algorithm);
    const digest = hash.digest.bind(hash);
    return Object.assign(hash, { digest: () => digest('hex').slice(0, 2).padEnd(64, '0') });
  };
  const use = (other: unknown) => {
    Object.assign(crypto, { createHash: other });
    syncBuiltinESMExports();
  };
  use(weak);
  try {
    work();
  } finally {
    use(createHash);
  }
}

function collision(besides: KnownPod): [KnownPod, KnownPod] {
  const [taken = ''] = desiredOf(snapshot([besides], [enabled])).alive;
  const seen = new Map<string, string>();
  for (let index = 0; ; index++) {
    const container = `c${index}`;
    const [id = ''] = desiredOf(snapshot([pod('x', { containers: [container] })], [enabled])).alive;
    if (id === taken) continue;
    const other = seen.get(id);
    if (other !== undefined)
      return [pod('a', { containers: [other] }), pod('b', { containers: [container] })];
    seen.set(id, container);
  }
}

// A small world, in which everything can happen to everything.
const namespaceNames = ['shop', 'pay', 'podmirror'];
const yamls = [
  '',
  'allNamespaces: true',
  'filters: [{namespace: "sh*"}]',
  'filters: [{pod_labels: {team: "a,b"}}]',
  'filters: [{pod_annotations: {role: x}}, {container_name: log}]',
  'filters: [{pod_name: "p1"}]',
  'filters: [{node_name: node-1, container_name: debug}]',
];
const maybe = <T>(value: T) => fc.option(fc.constant(value), { nil: undefined });
const anyPod = fc
  .record({
    namespace: fc.constantFrom(...namespaceNames),
    name: fc.constantFrom('p0', 'p1', 'p2', 'p3'),
    team: fc.constantFrom(undefined, 'a', 'b', 'c'),
    role: maybe('x'),
    mirror: fc.constantFrom(undefined, 'true', 'false', 'yes'),
    containers: fc.constantFrom<string[]>(['web'], ['web', 'log'], ['log', 'web']),
    ephemeralContainers: fc.constantFrom<string[]>([], ['debug'], ['other']),
    phase: fc.constantFrom('Running', 'Pending', 'Succeeded'),
    misplaced: maybe('enabled'),
  })
  .map(({ team, role, mirror, misplaced, name, ...more }) =>
    pod(name, {
      ...more,
      labels: { ...(team && { team }), ...(misplaced && { 'wallarm-mirror': misplaced }) },
      annotations: { ...(role && { role }), ...(mirror && { 'mirror.wallarm.com/enabled': mirror }) },
    }),
  );
const change = fc.oneof(
  anyPod.map((one) => ({ kind: 'pod' as const, one })),
  fc.record({ kind: fc.constant('gone' as const), key: fc.nat(11) }),
  fc.record({
    kind: fc.constant('namespace' as const),
    name: fc.constantFrom(...namespaceNames),
    label: fc.constantFrom(undefined, 'enabled', 'disabled', 'Enabled'),
  }),
  fc.record({ kind: fc.constant('namespace-gone' as const), name: fc.constantFrom(...namespaceNames) }),
  fc.record({ kind: fc.constant('filters' as const), yaml: fc.constantFrom(...yamls) }),
);

test('any sequence of changes comes to the same as a fresh computation, and as each pod resolved by itself', (t) => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const steps = createDesired();
      const incremental = (view: Snapshot) => atOnce(steps(view));
      const pods = new Map<string, KnownPod>();
      const namespaces = new Map<string, NamespaceFacts>();
      let filters = noFilters;
      for (const next of changes) {
        if (next.kind === 'pod') pods.set(`${next.one.namespace}/${next.one.name}`, next.one);
        if (next.kind === 'gone') pods.delete([...pods.keys()][next.key] ?? '');
        if (next.kind === 'namespace') {
          const labels: Record<string, string> = next.label ? { 'wallarm-mirror': next.label } : {};
          namespaces.set(next.name, { name: next.name, labels });
        }
        if (next.kind === 'namespace-gone') namespaces.delete(next.name);
        if (next.kind === 'filters') filters = next.yaml === '' ? noFilters : filtersOf(next.yaml);

        const view = snapshot([...pods.values()], [...namespaces.values()], filters);
        const seen = incremental(view);
        const fresh = desiredOf(view);
        const meta = metaOf(filters, settings);
        t.deepEqual(
          encodeIntent({ meta, classes: seen.classes }),
          encodeIntent({ meta, classes: fresh.classes }),
        );
        t.deepEqual([...seen.alive].sort(), [...fresh.alive].sort());
        for (const one of pods.values()) {
          const namespace = namespaces.get(one.namespace);
          const { grants, because, warnings } = resolveIntent({ pod: one, namespace, filters, settings });
          const verdict = seen.verdictOf(one);
          if (one.phase === 'Succeeded') t.is(verdict, undefined);
          else t.like(verdict, { grants, because, warnings });
        }
      }
    }),
    { numRuns: 150 },
  );
});

test('10,000 pods in 300 classes are computed again while one waits', (t) => {
  const names = Array.from({ length: 100 }, (_, index) => `ns-${index}`);
  const pods = Array.from({ length: 10_000 }, (_, index) =>
    pod(`pod-${index}`, {
      namespace: names[index % 100] ?? '',
      labels: { app: `app-${index % 300}`, team: 'a' },
      containers: [`c${index % 3}`, 'sidecar'],
    }),
  );
  const filters = filtersOf(
    'filters: [{namespace: "ns-1*", pod_labels: {app: "app-*"}}, {pod_labels: {team: b}}]',
  );
  const view = (label: string) =>
    snapshot(
      pods,
      names.map((name) => ({ name, labels: name === 'ns-7' ? { 'wallarm-mirror': label } : {} })),
      filters,
    );
  const steps = createDesired();
  const compute = (view: Snapshot) => atOnce(steps(view));
  const began = performance.now();
  const before = compute(view('disabled'));
  const changed = performance.now();
  const after = compute(view('enabled'));
  const done = performance.now();
  t.log(`first pass ${Math.round(changed - began)} ms, after a label ${Math.round(done - changed)} ms`);
  t.true(after.classes.size > before.classes.size);
  t.true(done - changed < 5000);
});
