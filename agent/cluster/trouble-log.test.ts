import test from 'ava';
import { fakeLog } from '../fake/log.ts';
import { createTroubleLog } from './trouble-log.ts';

const means = 'What is mirrored stays so, and nothing new is taken until it answers';
const refused = (watch: string) => `${watch}: connect ECONNREFUSED; again in 200 ms`;
const answers = (watch: string) => `${watch}: the API server answers again`;

/** A log for watches, and what it told a person. */
function scene() {
  const log = fakeLog();
  const said = () => log.lines.filter((line) => !line.startsWith('debug'));
  return { watches: createTroubleLog(log), said };
}

test('a watch that loses the API server says so when that begins and when it ends, each time', (t) => {
  const { watches, said } = scene();
  for (let round = 0; round < 2; round++) {
    watches.warn(refused('pods'));
    watches.warn(refused('pods'));
    t.is(watches.trouble(), refused('pods'));
    watches.info(answers('pods'));
    t.is(watches.trouble(), undefined);
  }
  t.deepEqual(said().slice(0, 2), said().slice(2));
  t.deepEqual(said().slice(0, 2), [
    `warn ${refused('pods')}. ${means}`,
    `info ${answers('pods')}: what is asked for is followed again`,
  ]);
});

test("one watch's trouble hides no other's, and outlives the other's end", (t) => {
  const { watches, said } = scene();
  const forbidden = 'podmirror-intent: GET /api/v1/…: 403 Forbidden: no; again in 200 ms';
  watches.warn(refused('pods'));
  watches.warn(forbidden);
  t.is(watches.trouble(), `${refused('pods')}; ${forbidden}`);
  watches.info(answers('pods'));
  t.is(watches.trouble(), forbidden);
  watches.info(answers('podmirror-intent'));
  t.is(watches.trouble(), undefined);
  t.deepEqual(
    said().map((line) => line.split(':')[0]),
    ['warn pods', 'warn podmirror-intent', 'info pods', 'info podmirror-intent'],
  );
});

for (const passing of [
  'pods: an object is left out: metadata.uid: Required',
  'pods: an object is too large to be read, and what is known of it may be old',
  'pods: watch /api/v1/pods: silent for 130 s; watching again',
]) {
  test(`what no end will be told of opens no trouble: ${passing}`, (t) => {
    const { watches, said } = scene();
    watches.warn(passing);
    t.is(watches.trouble(), undefined);
    watches.warn(refused('pods'));
    t.deepEqual(said(), [`warn ${passing}`, `warn ${refused('pods')}. ${means}`]);
  });
}

test('what the role lacks is told with what to give it', (t) => {
  const { watches, said } = scene();
  watches.warn('pods: GET /api/v1/pods: 403 Forbidden: pods is forbidden; again in 200 ms');
  t.regex(said()[0] ?? '', /Let the ServiceAccount list and watch pods/);
});
