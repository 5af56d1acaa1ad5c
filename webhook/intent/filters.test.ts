import test from 'ava';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { filtersOf } from './fake/facts.ts';
import { describeFilter, noFilters, parseFilters, renderProblem } from './filters.ts';

const refusal = (yaml: string) => parseFilters(yaml).problems.map(renderProblem).join('\n');
/** One value in an otherwise good document; written as YAML. */
const namespaced = (value: string) => `filters:\n- namespace: ${value}\n`;

const refused: [title: string, yaml: string][] = [
  ['an open bracket', namespaced("'team-['")],
  ['an open brace', namespaced("'{a,b'")],
  ['a closing bracket alone', namespaced("'team-]'")],
  ['a closing brace alone', namespaced("'a}'")],
  ['an empty text', namespaced("''")],
  ['blanks', namespaced("'  '")],
  ['an empty block of keys', namespaced('{}')],
  ['empty braces', namespaced("'{}'")],
  ['braces with one alternative', namespaced("'{a}'")],
  ['a template that nobody filled in', namespaced("'{{ .Values.namespace }}'")],
  ['a range in braces', namespaced("'{1..9999}'")],
  ['braces that multiply', namespaced(`'${'{a,b}'.repeat(12)}'`)],
  ['empty brackets', namespaced("'[]'")],
  ['a range that runs backwards', namespaced("'[z-a]'")],
  ['a class by name', namespaced("'[[:alpha:]]'")],
  ['an extended glob', namespaced("'@(a|b)'")],
  ['a regular expression', namespaced("'shop|bank'")],
  ['a negation in a list', namespaced("'shop,!bank'")],
  ['a negated list', namespaced("'!shop,bank'")],
  ['a negation of nothing', namespaced("'!'")],
  ['a double negation', namespaced("'!!shop'")],
  ['a comma too many', namespaced("'shop,'")],
  ['a backslash at the end', namespaced("'shop\\'")],
  ['300 characters', namespaced(`'${'x'.repeat(300)}'`)],
  ['20 stars', namespaced(`'${'*a'.repeat(20)}'`)],
  ['65 alternatives', namespaced(`'${Array.from({ length: 65 }, (_, index) => index).join(',')}'`)],
  ['5000 characters', namespaced(`'${'shop,'.repeat(1000)}'`)],
  ['a boolean', namespaced('true')],
  ['a number', namespaced('1')],
  ['a number that loses its zero', namespaced('1.10')],
  ['nothing', namespaced('')],
  ['a list', namespaced('[shop, bank]')],
  ['braces without quotes', namespaced('{a,b}')],
  ['braces without quotes and more', namespaced('{a,b}-?')],
  ['brackets without quotes', namespaced('[a-z]*')],
  ['a star without quotes', namespaced('*')],
  ['a name behind a star without quotes', namespaced('*-api')],
  ['a negation without quotes', namespaced('!kube-*')],
  ['a list of labels', 'filters: [{pod_labels: [team, app]}]'],
  ['no labels', 'filters: [{pod_labels: {}}]'],
  ['nothing as annotations', 'filters:\n- pod_annotations:\n'],
  ['a boolean as label value', 'filters: [{pod_labels: {canary: true}}]'],
  ['a number as label value', 'filters: [{pod_labels: {version: 1}}]'],
  ['a label without value', 'filters: [{pod_labels: {team: }}]'],
  ['a pattern as key of a label', "filters: [{pod_labels: {'team-*': backend}}]"],
  ['a key that no object has', 'filters: [{pod_labels: {__proto__: a}}]'],
  ['a key with a path', "filters: [{pod_annotations: {app.kubernetes.io/name: '['}}]"],
  ['33 labels', `filters: [{pod_labels: {${Array.from({ length: 33 }, (_, index) => `l${index}: a`)}}}]`],
  ['an empty filter', 'filters: [{}]'],
  ['a filter that is text', 'filters: [shop]'],
  ['a filter that is nothing', 'filters:\n-\n'],
  ['an unknown key', 'filters: [{pod_label: {team: ops}}]'],
  ['an unknown key like no other', 'filters: [{namespace: shop, regex: x}]'],
  ['an unknown key of the document', 'filter: []'],
  ['a key of a filter in the document', 'namespace: shop'],
  ['a key of the document in a filter', 'filters: [{allNamespaces: true}]'],
  ['allNamespaces as text', 'allNamespaces: "true"'],
  ['allNamespaces as a word', 'allNamespaces: yes'],
  ['allNamespaces as nothing', 'allNamespaces:'],
  ['filters as nothing', 'filters: null'],
  ['filters as a block of keys', 'filters: {namespace: shop}'],
  ['filters as text', 'filters: shop'],
  ['a list at the top', '- namespace: shop'],
  ['text at the top', 'shop'],
  ['1001 filters', `filters:\n${'- namespace: shop\n'.repeat(1001)}`],
  ['a document that is too large', `# ${'x'.repeat(300 * 1024)}`],
  [
    'keys that are written twice',
    'filters:\n- namespace: a\n  namespace: b\n- pod_labels: {team: a, team: b}',
  ],
  ['a quote that is not closed', 'allNamespaces: true\nfilters:\n- namespace: "shop\n'],
  ['a tab', 'filters:\n\t- namespace: shop\n'],
  ['an item that is indented too deep', 'filters:\n- namespace: a\n - namespace: b\n'],
  ['a second document', 'allNamespaces: true\n---\nallNamespaces: false\n'],
  ['an alias to itself', 'filters: &a [*a]'],
  ['characters that nobody sees', namespaced('"\\u202eab\\n["')],
];

for (const [title, yaml] of refused) {
  test(`refused: ${title}`, (t) => t.snapshot(refusal(yaml)));
}

test('every problem is told at once', (t) => {
  t.snapshot(
    refusal(`
allNamespaces: "yes"
filters:
- namespace: 'team-['
  pod_label: {team: ops}
- {}
- pod_labels: {team: 'a,!b', canary: true}
  container_name: ''
- node_name: 7
`),
  );
});

test('of very many problems the first hundred are told', (t) => {
  const { problems } = parseFilters(`filters:\n${'- {namespac: shop}\n'.repeat(1000)}`);
  t.is(problems.length, 101);
  t.deepEqual(problems.at(-1), {
    where: 'filters.yaml',
    wrong: '900 more problems',
    instead: 'Mend the ones before this first',
  });
});

const nested = [
  '['.repeat(100_000),
  '- '.repeat(100_000),
  '{a: '.repeat(60_000),
  '? '.repeat(100_000),
  'a: '.repeat(80_000),
];
for (const yaml of nested) {
  test(`nesting without end is refused: ${yaml.slice(0, 8)}…`, (t) => {
    t.regex(refusal(yaml), /^filters\.yaml: it is nested too deep\. /);
  });
}

test('any text is read or refused', (t) => {
  const text = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'a:-[]{}*&!|>\'"#%@`, \n\t?') }));
  const document = fc
    .anything()
    .map((value) => stringify({ filters: [value], allNamespaces: value }, { aliasDuplicateObjects: false }));
  fc.assert(
    fc.property(fc.oneof(text, text.map(namespaced), document), (yaml) => {
      const { filters, problems } = parseFilters(yaml);
      t.is(filters === null, problems.length > 0);
      for (const problem of problems) t.regex(renderProblem(problem), /^[^\n]+: [^\n]+\. [A-Z][^\n]*[^.]$/);
    }),
    { numRuns: 500 },
  );
});

test('no filters: an empty document, comments, an empty list', (t) => {
  for (const yaml of ['', '# later\n', 'filters: []', 'allNamespaces: false', '{}']) {
    t.deepEqual(parseFilters(yaml), { filters: noFilters, problems: [] });
  }
});

test('a filter describes itself by its place and its keys', (t) => {
  const { items } = filtersOf(`
filters:
- namespace: 'shop-*'
  container_name: web
- {node_name: 'worker-[12]', pod_name: 'a, b', pod_labels: {team: 'backend, ops', app: api}, pod_annotations: {x/y: '!z'}}
- namespace: '${'x,'.repeat(60)}${'y'.repeat(128)},${'z'.repeat(128)}'
- pod_annotations: {note: "two\\nlines"}
`);
  t.deepEqual(items.map(describeFilter), [
    'filter 1 (namespace shop-*, container web)',
    'filter 2 (pod label app=api, pod label team=backend,ops, pod annotation x/y=!z, pod a,b, node worker-[12])',
    `filter 3 (namespace ${'x,'.repeat(60)}${'y'.repeat(128)},${'z'.repeat(41)}…)`,
    'filter 4 (pod annotation note=two lines)',
  ]);
});

test('the hash is of the content, not of how it is written', (t) => {
  const written = "filters: [{namespace: 'a , b', pod_labels: {x: y, z: w}}]";
  const same = 'allNamespaces: false\nfilters:\n- pod_labels:\n    z: w\n    x: y\n  namespace: a,b # both\n';
  t.is(filtersOf(written).hash, filtersOf(same).hash);
});

test('the hash changes with every key, every value, allNamespaces and the order of filters', (t) => {
  const documents = [
    '',
    'allNamespaces: true',
    ...['namespace', 'pod_name', 'container_name', 'node_name'].map((key) => `filters: [{${key}: a}]`),
    'filters: [{namespace: b}]',
    'filters: [{pod_labels: {a: a}}]',
    'filters: [{pod_labels: {a: b}}]',
    'filters: [{pod_labels: {b: a}}]',
    'filters: [{pod_annotations: {a: a}}]',
    'filters: [{namespace: a, pod_name: a}]',
    'filters: [{namespace: a}, {pod_name: a}]',
    'filters: [{pod_name: a}, {namespace: a}]',
  ];
  t.is(new Set(documents.map((yaml) => filtersOf(yaml).hash)).size, documents.length);
});
