import test from 'ava';
import { createTurns } from './turns.ts';

function taker() {
  const turns = createTurns({ atOnce: 2, maxWaiting: 2 });
  const begun: string[] = [];
  return { begun, take: (name: string) => turns.take(() => begun.push(name)) };
}

test('so many begin at once, and the others when one has ended, in order', (t) => {
  const { begun, take } = taker();
  const [a, b] = [take('a'), take('b'), take('c'), take('d')];
  t.deepEqual(begun, ['a', 'b']);
  b?.();
  t.deepEqual(begun, ['a', 'b', 'c']);
  a?.();
  t.deepEqual(begun, ['a', 'b', 'c', 'd']);
});

test('one too many is told so, and finds room when another has ended', (t) => {
  const { begun, take } = taker();
  const [a] = ['a', 'b', 'c', 'd'].map(take);
  t.is(take('e'), undefined);
  a?.();
  t.not(take('f'), undefined);
  t.deepEqual(begun, ['a', 'b', 'c']);
});

test('whoever stops waiting is passed over, and ends no turn of another', (t) => {
  const { begun, take } = taker();
  const [a, , c] = ['a', 'b', 'c', 'd'].map(take);
  c?.();
  t.deepEqual(begun, ['a', 'b']);
  a?.();
  a?.();
  t.deepEqual(begun, ['a', 'b', 'd']);
});
