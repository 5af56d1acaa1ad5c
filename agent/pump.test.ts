import test from 'ava';
import { fakeCapture } from './fake/capture.ts';
import { type Deliver, pump } from './pump.ts';

const batch = (id: string) => ({ id, bytes: Buffer.from(id), exchanges: 1 });

function pumping(deliver: Deliver) {
  const capture = fakeCapture();
  const giveUp = new AbortController();
  let stopped = false;
  const done = pump({ capture, deliver, stopped: () => stopped, giveUp: giveUp.signal, maxInFlight: 2 });
  const stop = () => {
    stopped = true;
    capture.stop();
  };
  return { capture, giveUp, done, stop };
}

const untilGivenUp: Deliver = (_, signal) =>
  new Promise((resolve) => {
    const giveUp = () => resolve({ dropped: 'shutdown' });
    if (signal.aborted) giveUp();
    else signal.addEventListener('abort', giveUp);
  });

test('every batch is settled, those queued at the end too', async (t) => {
  const { capture, done, stop } = pumping(async ({ id }) =>
    id === 'b' ? { dropped: 'rejected' } : 'delivered',
  );
  for (const id of ['a', 'b', 'c', 'd']) capture.push(batch(id));
  stop();
  await done;
  t.deepEqual(
    [...capture.settled.values()],
    ['delivered', { dropped: 'rejected' }, 'delivered', 'delivered'],
  );
});

test('when time is up, what is queued is booked as dropped and the account still closes', async (t) => {
  const { capture, giveUp, done, stop } = pumping(untilGivenUp);
  for (const id of ['a', 'b', 'c', 'd', 'e']) capture.push(batch(id));
  stop();
  giveUp.abort();
  await done;
  t.deepEqual(capture.ledger().exchanges, {
    captured: 5,
    delivered: 0,
    dropped: { shutdown: 5 },
    inFlight: 0,
    bodiesStripped: 0,
  });
});

test('no more than two batches are taken out of the bounded queue at once', async (t) => {
  let [underWay, most] = [0, 0];
  const { capture, done, stop } = pumping(async () => {
    most = Math.max(most, ++underWay);
    await new Promise((resolve) => setTimeout(resolve, 5));
    underWay--;
    return 'delivered';
  });
  for (let n = 0; n < 10; n++) capture.push(batch(String(n)));
  stop();
  await done;
  t.is(most, 2);
  t.is(capture.settled.size, 10);
});
