import test from 'ava';
import { isNearKey } from './words.ts';

const rows: [key: string, known: string, near: boolean][] = [
  ['wallarm-mirrors', 'wallarm-mirror', true],
  ['wallarm_mirror', 'wallarm-mirror', true],
  ['wallarmMirror', 'wallarm-mirror', true],
  ['walarm-miror', 'wallarm-mirror', true],
  ['wallarm/mirror', 'wallarm-mirror', true],
  ['mirror.wallarm.com/enable', 'mirror.wallarm.com/enabled', true],
  ['mirror.walarm.com/enabled', 'mirror.wallarm.com/enabled', true],
  ['mirror.wallarm.com-enabled', 'mirror.wallarm.com/enabled', true],
  ['wallarm-mirror', 'wallarm-mirror', false],
  ['mirror', 'wallarm-mirror', false],
  ['sidecar-mirror', 'wallarm-mirror', false],
  ['app.kubernetes.io/name', 'mirror.wallarm.com/enabled', false],
  ['mirror.example.com/enabled', 'mirror.wallarm.com/enabled', false],
  ['mirror.wallarm.com/enabled-by', 'mirror.wallarm.com/enabled', false],
];

for (const [key, known, near] of rows) {
  test(`${key} is ${near ? '' : 'not '}a slip of ${known}`, (t) => t.is(isNearKey(key, known), near));
}
