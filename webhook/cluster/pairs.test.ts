import test from 'ava';
import { createPairKeeper, type Pairs } from './pairs.ts';

const many = (count: number, chars: number, prefix = 'key') =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}-${index}`, 'x'.repeat(chars)]));
const sizeOf = (pairs: Pairs) => JSON.stringify(pairs).length;

test('what usual pods carry is kept as it is, the same object', (t) => {
  const pairs = { labels: many(12, 63), annotations: many(12, 100) };
  const { labels, annotations } = createPairKeeper().keep(pairs);
  t.is(labels, pairs.labels);
  t.is(annotations, pairs.annotations);
});

const floods: [title: string, pairs: Pairs][] = [
  ['250 annotations of 1,000 characters', { labels: {}, annotations: many(250, 1000) }],
  ['1.3 MB of labels', { labels: many(20_000, 63), annotations: {} }],
  ['a large annotation', { labels: {}, annotations: { last: 'x'.repeat(250_000) } }],
  ['many empty labels', { labels: many(20_000, 0), annotations: many(20_000, 0) }],
];
for (const [title, pairs] of floods) {
  test(`little is kept of ${title}, and what is wanted all the same`, (t) => {
    const keeper = createPairKeeper();
    keeper.want({ labels: ['team'], annotations: ['tier'] });
    const kept = keeper.keep({
      labels: { ...pairs.labels, team: 'ops' },
      annotations: { ...pairs.annotations, tier: 'y'.repeat(2000) },
    });
    t.is(kept.labels.team, 'ops');
    t.is(kept.annotations.tier?.length, 2000);
    t.true(sizeOf(kept) < 2000 + 5000, String(sizeOf(kept)));
  });
}

test('a key that becomes wanted is missed only when it was left out, and once', (t) => {
  const keeper = createPairKeeper();
  keeper.keep({ labels: { small: 'x', ...many(50, 63, 'label') }, annotations: { big: 'x'.repeat(2000) } });
  t.false(keeper.want({ labels: ['small', 'nobody'], annotations: ['label-49'] }));
  t.true(keeper.want({ labels: ['label-49'], annotations: [] }));
  t.false(keeper.want({ labels: ['label-49'], annotations: [] }));
  t.true(keeper.want({ labels: ['label-49'], annotations: ['big'] }));
});

test('after more keys than are remembered, any new one may be missing', (t) => {
  const keeper = createPairKeeper();
  keeper.keep({ labels: many(1500, 63), annotations: {} });
  t.true(keeper.want({ labels: ['key-1499'], annotations: [] }));
  t.true(keeper.want({ labels: ['key-1499', 'key-1498'], annotations: [] }));
  t.false(keeper.want({ labels: ['key-1499', 'key-1498'], annotations: ['key-1'] }));
});
