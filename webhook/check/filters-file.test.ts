import test from 'ava';
import { readFiltersObject } from '../admission/validate/filters.ts';
import { readFiltersFile } from './filters-file.ts';

const own = { ownNamespace: 'podmirror' };
const configMap = (metadata: object = { name: 'podmirror-filters' }) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata,
  data: { 'filters.yaml': 'filters: [{namespace: shop}]' },
});
const manifest = `# as applied
apiVersion: v1
kind: ConfigMap
metadata: {name: podmirror-filters, namespace: podmirror}
data:
  filters.yaml: |
    filters:
      - namespace: shop
`;

const files: [string, string][] = [
  ['filters alone', 'filters: [{namespace: shop}]'],
  ['filters alone in braces', '{filters: [{namespace: shop}]}'],
  ['filters alone as JSON', '{"filters": [{"namespace": "shop"}]}'],
  ['a manifest', manifest],
  ['a manifest in JSON', JSON.stringify(configMap())],
  ['a manifest among others', `kind: Namespace\nmetadata: {name: podmirror}\n---\n${manifest}`],
  [
    'a manifest among other ConfigMaps',
    `kind: ConfigMap\nmetadata: {name: other}\ndata: {filters.yaml: ''}\n---\n${manifest}`,
  ],
  ['a list of kubectl', JSON.stringify({ kind: 'List', items: [configMap()] })],
];

for (const [title, text] of files) {
  test(`the file may be ${title}`, (t) => {
    const { configMap, warnings } = readFiltersFile(text, own);
    const { filters } = readFiltersObject(configMap);
    t.is(filters?.items[0]?.namespace?.source, 'shop');
    t.deepEqual(warnings, []);
  });
}

test('an empty file is no filters', (t) => {
  t.deepEqual(readFiltersObject(readFiltersFile('', own).configMap).filters?.items, []);
});

const refused: [string, RegExp][] = [
  [
    'kind: Secret\nmetadata: {name: podmirror-filters}\n',
    /manifest without a ConfigMap\. Write the ConfigMap podmirror-filters/,
  ],
  [`${manifest}---\n${manifest}`, /^2 ConfigMaps in it may be meant\. Write one/],
  ['kind: ConfigMap\nmetadata: {name: "x\n', /^it is no YAML: .* at line \d+/],
];

for (const [text, message] of refused) {
  test(`a manifest is refused with what to write: ${message.source}`, (t) => {
    t.throws(() => readFiltersFile(text, own), { message });
  });
}

test('a ConfigMap that nobody reads is warned about', (t) => {
  const { warnings } = readFiltersFile(
    JSON.stringify(configMap({ name: 'filters', namespace: 'shop' })),
    own,
  );
  t.deepEqual(warnings, [
    'metadata.name: podmirror does not read "filters". Write podmirror-filters',
    'metadata.namespace: podmirror runs in podmirror, not in "shop". Write podmirror, or name another with --namespace',
  ]);
});
