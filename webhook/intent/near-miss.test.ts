import test from 'ava';
import fc from 'fast-check';
import { createNearest, nearest } from './near-miss.ts';

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

test('of two that are equally near, the shorter is meant, else the first', (t) => {
  t.is(nearest('shopp', ['shoppe', 'shop']), 'shop');
  t.is(nearest('shox', ['shop', 'shot']), 'shop');
});

test('words of quite another length cost little, and when all is spent nothing is near', (t) => {
  const comparisons = { left: 42 };
  const near = createNearest(['a-quite-long-namespace', 'shop'], comparisons);
  t.is(near('shpo'), 'shop');
  t.is(comparisons.left, 20);
  t.is(near('shpo'), 'shop');
  t.true(comparisons.left <= 0);
  t.is(near('shpo'), undefined);
});

/** As it is defined, with nothing left out. */
function distance(a: string, b: string, i = a.length, j = b.length): number {
  if (i === 0 || j === 0) return i + j;
  const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
  return Math.min(
    distance(a, b, i - 1, j) + 1,
    distance(a, b, i, j - 1) + 1,
    distance(a, b, i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1),
    isSwap ? distance(a, b, i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY,
  );
}

test('to stop early changes no answer', (t) => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(word, fc.array(word, { maxLength: 4 }), (mistaken, known) => {
      const near = known.filter((candidate) => {
        const isPart = mistaken.length >= 3 && candidate.includes(mistaken);
        return isPart || distance(mistaken, candidate) <= Math.max(1, Math.floor(candidate.length / 3));
      });
      const found = nearest(mistaken, known);
      t.is(found === undefined, near.length === 0);
      if (found !== undefined) t.true(near.includes(found));
      if (found !== undefined && mistaken.length < 3) {
        t.is(distance(mistaken, found), Math.min(...near.map((candidate) => distance(mistaken, candidate))));
      }
    }),
  );
});
