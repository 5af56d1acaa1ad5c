import test from 'ava';
import { fakeLog } from '../fake/log.ts';
import { createTroubleLog } from './trouble-log.ts';

test('watches that lose the API server together are one trouble, told when it begins and when it ends', (t) => {
  const log = fakeLog();
  const watches = createTroubleLog(log);
  for (let round = 0; round < 2; round++) {
    watches.warn('pods: list /api/v1/pods: connect ECONNREFUSED; again in 200 ms');
    watches.warn('podmirror-intent: connect ECONNREFUSED; again in 300 ms');
    t.regex(watches.trouble() ?? '', /^pods: /);
    watches.info('podmirror-intent: the API server answers again');
    watches.info('pods: the API server answers again');
    t.is(watches.trouble(), undefined);
  }
  const said = log.lines.filter((line) => !line.startsWith('debug'));
  t.deepEqual(said.slice(0, 2), said.slice(2));
  t.deepEqual(said.slice(0, 2), [
    'warn pods: list /api/v1/pods: connect ECONNREFUSED; again in 200 ms. What is mirrored stays so, and nothing new is taken until it answers',
    'info the API server answers again: what is asked for is followed again',
  ]);
});

test('what the role lacks is told with what to give it', (t) => {
  const log = fakeLog();
  createTroubleLog(log).warn('pods: GET /api/v1/pods: 403 Forbidden: pods is forbidden; again in 200 ms');
  t.regex(log.lines[0] ?? '', /Let the ServiceAccount list and watch pods/);
});
