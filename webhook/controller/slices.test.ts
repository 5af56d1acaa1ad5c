import test from 'ava';
import { systemClock } from '../cluster/clock.ts';
import { atOnce, inSlices } from './slices.ts';

function* counting(steps: number): Generator<void, number> {
  for (let step = 0; step < steps; step++) yield;
  return steps;
}

test('between two slices everything else has its turn', async (t) => {
  let turns = 0;
  let running = true;
  const tick = () => {
    turns += 1;
    if (running) setImmediate(tick);
  };
  setImmediate(tick);
  t.is((await inSlices(counting(20), systemClock)).value, 20);
  running = false;
  t.true(turns >= 20, `${turns} turns`);
});

test('the same computation runs at once where nobody waits', (t) => {
  t.is(atOnce(counting(20)), 20);
});

test('an error of the computation is that of whoever waits for it', async (t) => {
  const failing = (function* (): Generator<void, never> {
    yield;
    throw new Error('no');
  })();
  await t.throwsAsync(inSlices(failing, systemClock), { message: 'no' });
});
