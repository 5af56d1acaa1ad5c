import test from 'ava';
import { saysTheSame } from './filter.ts';

const rows: [a: string, b: string, same: boolean][] = [
  ['filter 2 (namespace shop)', 'filter 30 (namespace shop)', true],
  ['filter 1 (pod a); filter 2 (pod b)', 'filter 2 (pod a); filter 3 (pod b)', true],
  [
    'filter 1 (pod a), filter 2 (pod b) names web only',
    'filter 4 (pod a), filter 5 (pod b) names web only',
    true,
  ],
  ['filter 2 (namespace shop)', 'filter 2 (namespace shop-*)', false],
  ['filter 1 (pod a); filter 2 (pod b)', 'filter 1 (pod b); filter 2 (pod a)', false],
  ['filter 1 (pod annotation x=filter 1 (y))', 'filter 1 (pod annotation x=filter 2 (y))', false],
  ['mirroring enabled: filter 1 (pod a)', 'mirroring enabled: filter 2 (pod a)', true],
  ['filter 1 (pod a)', 'namespace shop is labelled wallarm-mirror=enabled', false],
];
for (const [a, b, same] of rows) {
  test(`${a} and ${b} are ${same ? 'the same rule' : 'two'}`, (t) => t.is(saysTheSame(a, b), same));
}
