import test from 'ava';
import type { Match } from '../modsecurity/modsecurity.ts';
import { verdictOf } from './verdict.ts';

const match = (over: Partial<Match>): Match => ({
  id: 1,
  message: '',
  data: '',
  severity: 2,
  tags: [],
  variable: '',
  ...over,
});
const total = (score: number) =>
  match({ id: 949_110, severity: 0, message: `Inbound Anomaly Score Exceeded (Total Score: ${score})` });

test('nothing that matched is no attack', (t) => {
  t.is(verdictOf([], 5), undefined);
});

test('protocol rules alone are no attack, whatever their score', (t) => {
  const rules = [match({ id: 920_350, severity: 4, tags: ['attack-protocol'] }), match({ id: 911_100 })];
  t.is(verdictOf([...rules, total(8)], 5), undefined);
});

test('the type is the one with the most score', (t) => {
  const verdict = verdictOf(
    [
      match({ id: 930_120, tags: ['attack-lfi'] }),
      match({ id: 932_160, tags: ['attack-rce'] }),
      match({ id: 932_130, tags: ['attack-rce'] }),
      total(15),
    ],
    5,
  );
  t.like(verdict, { type: 'rce', score: 15, deciding: { id: 932_160 } });
});

test('between equals the order of the table decides', (t) => {
  const verdict = verdictOf(
    [match({ id: 932_160, tags: ['attack-rce'] }), match({ id: 930_120, tags: ['attack-lfi'] })],
    5,
  );
  t.is(verdict?.type, 'path_traversal');
});

test('a rule without tags is known by its family', (t) => {
  t.is(verdictOf([match({ id: 942_100 })], 5)?.type, 'sqli');
});

test('below the threshold is no attack', (t) => {
  t.is(verdictOf([match({ id: 930_120, severity: 4, tags: ['attack-lfi'] })], 5), undefined);
});
