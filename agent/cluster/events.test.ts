import test from 'ava';
import { ApiError } from '../../webhook/cluster/api-error.ts';
import { fakeClock } from '../../webhook/cluster/fake/clock.ts';
import { fakeLog } from '../fake/log.ts';
import { createEvents } from './events.ts';
import { nodePod, uid } from './fake/node.ts';
import type { Saying } from './saying.ts';

const saying = (given: Partial<Saying> = {}): Saying => ({
  kind: 'mirroring',
  pod: nodePod(),
  container: 'web',
  because: 'filter 1 (namespace shop)',
  isProblem: false,
  isOver: false,
  ...given,
});

interface Told {
  metadata: { name: string; namespace: string };
  involvedObject: object;
  reason: string;
  message: string;
  type: string;
}

function scene(answer: (told: Told) => void = () => {}) {
  const told: Told[] = [];
  const clock = fakeClock();
  const log = fakeLog();
  const api = {
    async create(_: string, event: unknown) {
      told.push(event as Told);
      answer(event as Told);
    },
  };
  const events = createEvents({ api, instance: 'agent-x', clock, wallClock: () => 1e12 + told.length, log });
  return { told, clock, log, events };
}

test('an Event stands on the pod and says what the log says', async (t) => {
  const { told, clock, events } = scene();
  events.observe(saying());
  await clock.advance(0);
  t.like(told[0], {
    reason: 'Mirroring',
    type: 'Normal',
    message: 'mirroring container web: filter 1 (namespace shop)',
    involvedObject: { apiVersion: 'v1', kind: 'Pod', name: 'web-1', namespace: 'shop', uid: uid(1) },
    metadata: { namespace: 'shop' },
    reportingInstance: 'agent-x',
  });
  events.observe(saying({ kind: 'refused', container: undefined, because: 'no. Do this', isProblem: true }));
  await clock.advance(0);
  t.like(told[1], { reason: 'NotMirroring', type: 'Warning', message: 'not mirroring: no. Do this' });
});

test('a container that restarts tells nothing new, a change back does, and an agent that begins anew repeats no name', async (t) => {
  const { told, clock, events } = scene();
  const released = saying({ kind: 'released', because: 'nothing asks for it any more' });
  const ended = saying({ kind: 'released', because: 'its container ended', isOver: true });
  for (const one of [saying(), ended, saying(), released, saying()]) events.observe(one);
  await clock.advance(0);
  t.deepEqual(
    told.map(({ reason }) => reason),
    ['Mirroring', 'MirroringEnded', 'Mirroring'],
  );
  t.is(new Set(told.map(({ metadata }) => metadata.name)).size, 3);
  const again = scene();
  again.events.observe(saying());
  await again.clock.advance(0);
  t.is(again.told[0]?.metadata.name, told[0]?.metadata.name);
});

test('a rule that only got another number is told once', async (t) => {
  const { told, clock, events } = scene();
  for (const number of [2, 3]) events.observe(saying({ because: `filter ${number} (namespace shop)` }));
  events.observe(saying({ because: 'filter 3 (namespace shop-*)' }));
  await clock.advance(0);
  t.deepEqual(
    told.map(({ message }) => message),
    [
      'mirroring container web: filter 2 (namespace shop)',
      'mirroring container web: filter 3 (namespace shop-*)',
    ],
  );
});

test('many are told slowly, failures are told once, and what was told before is no failure', async (t) => {
  const { told, clock, log, events } = scene(({ metadata }) => {
    throw new ApiError('POST', metadata.namespace === 'known' ? 409 : 403, 'Forbidden', 'no');
  });
  for (let n = 0; n < 100; n++) events.observe(saying({ pod: nodePod({ uid: uid(n), name: `web-${n}` }) }));
  await clock.advance(0);
  t.is(told.length, 25);
  await clock.advance(5000);
  t.is(told.length, 35);
  t.is(log.lines.length, 1);
  events.stop();
  const other = scene(() => {
    throw new ApiError('POST', 409, 'AlreadyExists', '');
  });
  other.events.observe(saying());
  await other.clock.advance(0);
  t.deepEqual({ ...other.events.counts }, { sent: 0, known: 1, failed: 0, dropped: 0 });
  t.deepEqual(other.log.lines, []);
});
