/** Our account of a large mix against nginx's own, and against what the client sent. */
import { assertClosed, openCapture, openCgroup, openNginx } from '../harness/capture.ts';
import { compare, describeDifference, isEmpty } from '../harness/compare.ts';
import { factOfExchange, factOfSent, factsOfLog } from '../harness/facts.ts';
import { planMix } from '../harness/mix.ts';
import { seededRandom } from '../harness/random.ts';
import { rootTest } from '../harness/root-test.ts';
import { sendAll } from '../harness/traffic.ts';

const REQUESTS = 24_000;
const SEED = Number(process.env.PODMIRROR_SEED ?? 20260101);

rootTest(`${REQUESTS} mixed requests to a real nginx, and no difference to its access log`, async (t) => {
  t.timeout(180_000);
  t.log(`seed ${SEED}; again with PODMIRROR_SEED=${SEED}`);
  const cgroup = openCgroup(t);
  const nginx = await openNginx(t, { cgroup, workers: 2 });
  // Room enough: this is about what is decoded, load-loss.test.ts is about what is lost.
  const { capture, collector } = openCapture(t, { ringBytes: 64 << 20 });
  capture.select({ cgroup: cgroup.path, identity: { name: 'differential' } });

  const plans = planMix({ random: seededRandom(SEED), requests: REQUESTS });
  const sent = await sendAll(plans, { port: nginx.port, seed: SEED });
  const access = await nginx.accessLog(sent.length);
  const logged = factsOfLog(access, nginx.upstreamLog());
  const harness = compare(logged, sent.map(factOfSent));
  t.true(isEmpty(harness), `the harness itself: ${describeDifference(harness)}`);

  const exchanges = await collector.finish();
  const captured = exchanges.map(factOfExchange);
  t.log(JSON.stringify(capture.ledger()));
  const toLog = compare(logged, captured);
  t.true(isEmpty(toLog), `nginx's log against the capture: ${describeDifference(toLog)}`);
  const toClient = compare(sent.map(factOfSent), captured);
  t.true(isEmpty(toClient), `the client against the capture: ${describeDifference(toClient)}`);

  const flagged = exchanges.filter(({ gap, joinedLate, conflicting }) => gap || joinedLate || conflicting);
  t.deepEqual(
    flagged.map((exchange) => factOfExchange(exchange)),
    [],
  );
  t.true(exchanges.every(({ identity }) => identity === 'differential'));
  assertClosed(t, capture.ledger());
  t.is(capture.ledger().exchanges.delivered, sent.length);
});
