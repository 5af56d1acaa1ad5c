import test from 'ava';
import { objectsOf } from './objects.ts';

const a = { kind: 'Pod', metadata: { name: 'a' } };
const b = { kind: 'Pod', metadata: { name: 'b' } };

const texts: [string, string, unknown[]][] = [
  ['one object in JSON', JSON.stringify(a), [a]],
  ['a list in JSON', JSON.stringify({ kind: 'List', items: [a, b] }), [a, b]],
  ['a list in YAML', 'kind: List\nitems:\n- {kind: Pod, metadata: {name: a}}\n', [a]],
  ['several documents', 'kind: Pod\nmetadata: {name: a}\n---\nkind: Pod\nmetadata: {name: b}\n', [a, b]],
  [
    'several documents, some of them lists or nothing',
    `---\n---\n${JSON.stringify({ kind: 'List', items: [a] })}\n---\n${JSON.stringify(b)}`,
    [a, b],
  ],
  ['an array', JSON.stringify([a, b]), [a, b]],
  ['nothing', '', []],
];

for (const [title, text, objects] of texts) {
  test(`objects are read from ${title}`, (t) => {
    t.deepEqual(objectsOf(text), objects);
  });
}

test('items of a PodList, which do not say so, are pods', (t) => {
  const { kind: _, ...nameless } = a;
  t.deepEqual(objectsOf(JSON.stringify({ kind: 'PodList', apiVersion: 'v1', items: [nameless] })), [
    { apiVersion: 'v1', ...a },
  ]);
});

test('what is no YAML is told with its line and what to write', (t) => {
  t.throws(() => objectsOf('kind: List\nitems: [\n'), { message: /at line 3.*kubectl get -o json$/ });
  t.throws(() => objectsOf('['.repeat(100_000)), { message: /^it is no YAML/ });
});

test('YAML that would take minutes is refused for JSON', (t) => {
  t.throws(() => objectsOf(`# ${'x'.repeat(25 * 1024 * 1024)}`), { message: /^26 MiB of YAML.*-o json$/ });
});
