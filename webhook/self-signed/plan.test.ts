import test from 'ava';
import fc from 'fast-check';
import { type Facts, type LeafStanding, plan, type Timing } from './plan.ts';

const timing: Timing = {
  authorityMs: 1000,
  renewAuthorityMs: 400,
  leafMs: 300,
  renewLeafMs: 100,
  spreadMs: 20,
};
const good = { expiresAtMs: 900 };
const bySigner = { expiresAtMs: 300, bySigner: true };
const byOlder = { expiresAtMs: 300, bySigner: false };
const facts = (over: Partial<Facts>): Facts => ({
  authority: good,
  leaves: { web: bySigner },
  trustsOlder: false,
  nowMs: 0,
  unchangedMs: 0,
  ...over,
});
const nothing = { authority: undefined, leaves: {}, forgetOlder: false };

const rows: [title: string, facts: Partial<Facts>, expected: object][] = [
  ['what is in order stays', {}, {}],
  [
    'nothing is there: a CA and leaves at once',
    { authority: { bad: 'it is missing' }, leaves: { web: { bad: 'it is missing' } } },
    { authority: 'it is missing', leaves: { web: 'it is missing' } },
  ],
  [
    'the CA is gone: a new one, and leaves that work stay until all know it',
    { authority: { bad: 'it is missing' }, leaves: { web: byOlder }, unchangedMs: 1000 },
    { authority: 'it is missing' },
  ],
  [
    'a new CA is not known long enough: nothing yet',
    { leaves: { web: byOlder }, trustsOlder: true, unchangedMs: 19 },
    {},
  ],
  [
    'a new CA is known: leaves are issued by it',
    { leaves: { web: byOlder }, trustsOlder: true, unchangedMs: 20 },
    { leaves: { web: 'there is a new CA, which all know by now' } },
  ],
  ['new leaves are not out long enough: the older CA stays', { trustsOlder: true, unchangedMs: 19 }, {}],
  ['new leaves are out: the older CA goes', { trustsOlder: true, unchangedMs: 20 }, { forgetOlder: true }],
  [
    'a leaf is broken: a new one at once',
    { leaves: { web: bySigner, agent: { bad: 'torn' } } },
    { leaves: { agent: 'torn' } },
  ],
  [
    'a leaf ends soon: a new one',
    { nowMs: 200 },
    { leaves: { web: 'the old one ends on 1970-01-01T00:00:00.300Z' } },
  ],
  [
    'a CA ends soon: a new one',
    { nowMs: 500, leaves: { web: { ...bySigner, expiresAtMs: 700 } } },
    { authority: 'the old one ends on 1970-01-01T00:00:00.900Z' },
  ],
];

for (const [title, over, expected] of rows) {
  test(title, (t) => {
    t.deepEqual(plan(facts(over), timing), { ...nothing, ...expected });
  });
}

// A cluster in small: what stands in Secrets, and parties that read it up to `lagMs` later.
interface World {
  nowMs: number;
  sinceMs: number;
  made: number;
  authority: { id: number; endsMs: number } | undefined;
  older: { id: number; endsMs: number }[];
  leaves: Record<string, { by: number; endsMs: number }>;
  history: {
    atMs: number;
    trusted: Map<number, number>;
    leaves: Record<string, { by: number; endsMs: number }>;
  }[];
}

const lagMs = 15;
const names = ['web', 'processor', 'agent'];

/** As wanted.ts does it, without cryptography. */
function pass(world: World): void {
  const { nowMs, authority, older } = world;
  const leaves: Record<string, LeafStanding> = Object.fromEntries(
    names.map((name) => {
      const leaf = world.leaves[name];
      const isGood = leaf && leaf.endsMs > nowMs;
      return [
        name,
        isGood ? { expiresAtMs: leaf.endsMs, bySigner: leaf.by === authority?.id } : { bad: 'gone' },
      ];
    }),
  );
  const decision = plan(
    {
      authority: authority && authority.endsMs > nowMs ? { expiresAtMs: authority.endsMs } : { bad: 'gone' },
      leaves,
      trustsOlder: older.length > 0,
      nowMs,
      unchangedMs: nowMs - world.sinceMs,
    },
    timing,
  );
  let changed = false;
  if (decision.authority !== undefined) {
    if (authority) older.unshift(authority);
    world.made += 1;
    world.authority = { id: world.made, endsMs: nowMs + timing.authorityMs };
    changed = true;
  }
  if (decision.forgetOlder) {
    older.length = 0;
    changed = true;
  }
  for (const name of Object.keys(decision.leaves)) {
    const { id, endsMs } = world.authority as { id: number; endsMs: number };
    world.leaves = { ...world.leaves, [name]: { by: id, endsMs: Math.min(endsMs, nowMs + timing.leafMs) } };
    changed = true;
  }
  if (!changed) return;
  world.sinceMs = nowMs;
  const trusted = new Map(
    [world.authority as { id: number; endsMs: number }, ...older].map((one) => [one.id, one.endsMs]),
  );
  world.history.push({ atMs: nowMs, trusted, leaves: world.leaves });
}

/** Anybody may still see any state that was true within the last `lagMs`. */
function everyHandshakeWorks({ history, nowMs }: World): boolean {
  const seen = history.filter(
    (_, index) => (history[index + 1]?.atMs ?? Number.POSITIVE_INFINITY) >= nowMs - lagMs,
  );
  return seen.every(({ trusted }) =>
    seen.every(({ leaves }) =>
      Object.values(leaves).every(({ by, endsMs }) => endsMs > nowMs && (trusted.get(by) ?? 0) > nowMs),
    ),
  );
}

test('whoever deletes the CA when, and whichever replica restarts: no handshake fails, and in the end one CA is trusted', (t) => {
  const event = fc.record({
    waitMs: fc.integer({ min: 1, max: 60 }),
    what: fc.constantFrom('nothing', 'nothing', 'nothing', 'delete the CA', 'restart'),
  });
  const holds = () =>
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), (events) => {
        const world: World = {
          nowMs: 0,
          sinceMs: 0,
          made: 0,
          authority: undefined,
          older: [],
          leaves: {},
          history: [],
        };
        pass(world);
        for (const { waitMs, what } of events) {
          // It still stands in the other bundles.
          if (what === 'delete the CA') {
            if (world.authority) world.older = [world.authority, ...world.older];
            world.authority = undefined;
          }
          if (what === 'restart') world.sinceMs = world.nowMs;
          for (let tick = 0; tick < waitMs; tick++) {
            world.nowMs += 1;
            pass(world);
            if (!everyHandshakeWorks(world)) return false;
          }
        }
        for (let tick = 0; tick < 3 * timing.spreadMs; tick++) {
          world.nowMs += 1;
          pass(world);
        }
        return (
          world.older.length === 0 &&
          Object.values(world.leaves).every(({ by }) => by === world.authority?.id)
        );
      }),
      { numRuns: 300 },
    );
  t.notThrows(holds);
});
