import test from 'ava';
import { nearest } from './near-miss.ts';

const keys = ['namespace', 'pod_labels', 'pod_annotations', 'pod_name', 'container_name', 'node_name'];
const rows: [word: string, meant: string | undefined][] = [
  ['pod_label', 'pod_labels'],
  ['podLabels', 'pod_labels'],
  ['labels', 'pod_labels'],
  ['annotations', 'pod_annotations'],
  ['container', 'container_name'],
  ['containers', 'container_name'],
  ['node', 'node_name'],
  ['pod', 'pod_name'],
  ['namespaces', 'namespace'],
  ['nmaespace', 'namespace'],
  ['pdo_name', 'pod_name'],
  ['ns', undefined],
  ['regex', undefined],
  ['', undefined],
  ['x'.repeat(100_000), undefined],
];

for (const [word, meant] of rows) {
  test(`${word.slice(0, 20) || 'nothing'} probably means ${meant}`, (t) => t.is(nearest(word, keys), meant));
}

test('a swap of neighbours is one slip, also in a short word', (t) => {
  t.is(nearest('shpo', ['shop', 'bank']), 'shop');
  t.is(nearest('sohp', ['shop', 'bank']), 'shop');
  t.is(nearest('hsop', ['shop', 'bank']), 'shop');
  t.is(nearest('posh', ['shop', 'bank']), undefined);
});
