import test from 'ava';
import { parseWrk } from './load.ts';

const output =
  '  248180 requests in 2.00s, 299.17MB read\nRequests/sec: 124054.27\nTransfer/sec:    149.54MB\n';

test("wrk's own figures are taken", (t) => {
  t.deepEqual(parseWrk(output), { requests: 248_180, perSecond: 124_054.27 });
});

test('a run with errors is no measurement', (t) => {
  t.throws(() => parseWrk(`${output}  Non-2xx or 3xx responses: 7\n`), {
    message: 'wrk: Non-2xx or 3xx responses: 7',
  });
});
