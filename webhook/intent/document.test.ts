import test from 'ava';
import fc from 'fast-check';
import { metaOf } from './class.ts';
import {
  decodeIntent,
  encodeIntent,
  type Intent,
  META_KEY,
  patchesFor,
  shardName,
  shardOf,
} from './document.ts';
import { anyFilters, anyGrant } from './fake/arbitrary.ts';
import { settings } from './fake/facts.ts';
import { noFilters } from './filters.ts';
import type { Grant } from './model.ts';

const grant: Grant = { containers: ['web'], nodes: ['*'], because: 'filter 1 (container web)' };
const meta = metaOf(noFilters, settings);
const idOf = (number: number) =>
  `shop.${((number * 2_654_435_761) % 2 ** 32).toString(16).padStart(16, '0')}`;
const intentOf = (count: number, grants = [grant]): Intent => {
  return { meta, classes: new Map(Array.from({ length: count }, (_, index) => [idOf(index), grants])) };
};

const anyClassId = fc
  .tuple(fc.constantFrom('shop', 'a', 'team-1'), fc.nat(2 ** 32 - 1))
  .map(([namespace, number]) => `${namespace}.${number.toString(16).padStart(16, '0')}`);
const anyIntent = fc
  .record({
    filters: anyFilters,
    shards: fc.constantFrom(1, 2, 4, 8),
    classes: fc.array(fc.tuple(anyClassId, fc.array(anyGrant, { minLength: 1, maxLength: 3 })), {
      maxLength: 20,
    }),
  })
  .map(({ filters, shards, classes }): Intent => {
    return { meta: metaOf(filters, settings, shards), classes: new Map(classes) };
  });
const shardsOf = (intent: Intent) => encodeIntent(intent);
/** The order of classes means nothing. */
const sorted = (intent: Intent | null) => {
  return [...(intent?.classes ?? [])].map(([id, grants]) => `${id} ${JSON.stringify(grants)}`).sort();
};
const anyData = fc.dictionary(
  fc.constantFrom('a', 'b', '_meta', '__proto__', 'c'),
  fc.constantFrom('1', '2'),
);
const anyShards = fc.array(fc.option(anyData, { nil: undefined }), { maxLength: 4 });

test('what is encoded is decoded, in any order of classes the same text', (t) => {
  fc.assert(
    fc.property(anyIntent, (intent) => {
      const encoded = encodeIntent(intent);
      const { intent: decoded, problems } = decodeIntent(encoded);
      t.deepEqual([decoded?.meta, problems], [intent.meta, []]);
      t.deepEqual(sorted(decoded), sorted(intent));
      const reversed = { ...intent, classes: new Map([...intent.classes].reverse()) };
      t.is(JSON.stringify(encodeIntent(reversed)), JSON.stringify(encoded));
    }),
  );
});

test('an intent as the API server keeps it', (t) => {
  t.snapshot(encodeIntent(intentOf(2)));
});

test('a class without grants has no entry', (t) => {
  t.deepEqual(Object.keys(encodeIntent(intentOf(3, []))[0] ?? {}), [META_KEY]);
});

test('shards double before one is full, and every class stands in the shard of its id', (t) => {
  const long = [{ ...grant, because: 'x'.repeat(1000) }];
  for (const [count, shards] of [
    [600, 1],
    [1000, 2],
    [2000, 4],
    [4000, 8],
  ] as const) {
    const intent = intentOf(count, long);
    const encoded = encodeIntent(intent);
    t.is(encoded.length, shards);
    t.true(
      encoded.every((data) => JSON.stringify(Object.entries(data).flat().join('')).length < 1024 * 1024),
    );
    const { intent: decoded, problems } = decodeIntent(encoded);
    t.deepEqual([decoded?.meta.shards, problems], [shards, []]);
    t.is(sorted(decoded).join(), sorted(intent).join());
  }
  t.throws(() => encodeIntent(intentOf(8000, long)), {
    message: /does not fit into 8 ConfigMaps of 716800 bytes: 8000 classes/,
  });
});

test('shards do not shrink below what the meta says', (t) => {
  t.is(encodeIntent({ ...intentOf(1), meta: { ...meta, shards: 4 } }).length, 4);
});

test('300 classes fit into 200 KiB', (t) => {
  const because =
    'filter 12 (namespace my-namespace, pod label environment=production, pod label team=backend,ops)';
  const [data = {}] = encodeIntent(
    intentOf(300, [
      { ...grant, because },
      { ...grant, because },
    ]),
  );
  t.true(Object.entries(data).flat().join('').length < 200 * 1024);
});

test('names of shards', (t) => {
  t.deepEqual([0, 1, 7].map(shardName), ['podmirror-intent', 'podmirror-intent-1', 'podmirror-intent-7']);
});

const good = encodeIntent(intentOf(1))[0] ?? {};
const hostile: [title: string, shards: (Record<string, string> | undefined)[], problem: RegExp][] = [
  ['no ConfigMap', [undefined], /^podmirror-intent is not there$/],
  ['no ConfigMaps at all', [], /^podmirror-intent is not there$/],
  ['no meta', [{}], /^podmirror-intent: _meta is missing$/],
  ['a meta that is no JSON', [{ _meta: '{' }], /_meta is not of a version that is known here: "\{"$/],
  ['a newer version', [{ _meta: '{"version":2}' }], /not of a version that is known here/],
  [
    'three shards',
    [{ _meta: JSON.stringify({ ...meta, shards: 3 }) }],
    /not of a version that is known here/,
  ],
];
for (const [title, shards, problem] of hostile) {
  test(`nothing is known of the intent: ${title}`, (t) => {
    const { intent, problems } = decodeIntent(shards);
    t.is(intent, null);
    t.regex(problems.join('\n'), problem);
  });
}

const [entry = ''] = Object.keys(good).filter((key) => key !== META_KEY);
const bad: [title: string, key: string, value: string, problem: RegExp][] = [
  ['no class id', 'shop', '[]', /^podmirror-intent: "shop" is left out: no class id$/],
  ['an id of eight digits', 'shop.00000001', '[]', /"shop\.00000001" is left out: no class id$/],
  ['the key of a prototype', '__proto__', '[]', /"__proto__" is left out: no class id/],
  ['no JSON', 'shop.0000000000000001', 'x', /"shop\.0000000000000001" is left out: no list of grants: "x"$/],
  ['no grants', 'shop.0000000000000001', '[]', /no list of grants/],
  ['no text', 'shop.0000000000000001', 7 as unknown as string, /no list of grants/],
  [
    'a pattern that is none',
    'shop.0000000000000001',
    JSON.stringify([{ ...grant, nodes: ['['] }]),
    /no list of grants/,
  ],
  [
    'no containers',
    'shop.0000000000000001',
    JSON.stringify([{ ...grant, containers: [] }]),
    /no list of grants/,
  ],
];
for (const [title, key, value, problem] of bad) {
  test(`a bad entry is left out and named: ${title}`, (t) => {
    const data = Object.fromEntries([...Object.entries(good), [key, value]]);
    const { intent, problems } = decodeIntent([data]);
    t.deepEqual([...(intent?.classes.keys() ?? [])], [entry]);
    t.regex(problems.join('\n'), problem);
  });
}

test('a shard that is missing, misplaced or left over is named', (t) => {
  const [zero = {}, one = {}] = encodeIntent({ ...intentOf(2), meta: { ...meta, shards: 2 } });
  t.deepEqual(decodeIntent([zero]).problems, ['podmirror-intent-1 is not there']);
  t.deepEqual(decodeIntent([good, one]).problems, ['podmirror-intent-1 is not in use and left out']);
  t.deepEqual(decodeIntent([zero, { ...one, [META_KEY]: '{}' }]).problems, [
    'podmirror-intent-1: its _meta is not that of podmirror-intent',
  ]);
  const { intent, problems } = decodeIntent([{ ...zero, ...one }, zero]);
  t.true(problems.every((problem) => problem.endsWith('it belongs in another shard')));
  t.is(problems.length, 2);
  t.is(intent?.classes.size, 1);
});

test('anything may stand in the ConfigMaps', (t) => {
  const value = fc.oneof(fc.string(), fc.json(), fc.constantFrom('[]', JSON.stringify([grant])));
  const data = fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom('shop.0000000000000001', META_KEY)),
    value,
  );
  const withMeta = data.map((entries) => ({ ...entries, [META_KEY]: JSON.stringify(meta) }));
  fc.assert(
    fc.property(
      fc.array(fc.option(fc.oneof(data, withMeta), { nil: undefined }), { maxLength: 9 }),
      (shards) => {
        const { intent, problems } = decodeIntent(shards);
        t.true(intent !== null || problems.length > 0);
        t.true(problems.length <= 51);
      },
    ),
  );
});

test('patches turn what is there into what shall be, and there are none when it is', (t) => {
  const anyTwo = fc.oneof(
    fc.tuple(anyShards, fc.array(anyData, { maxLength: 4 })),
    fc.tuple(anyIntent.map(shardsOf), anyIntent.map(shardsOf)),
  );
  fc.assert(
    fc.property(anyTwo, ([have, want]) => {
      const patches = patchesFor(have, want);
      const result = applied(have, patches);
      t.deepEqual(result.slice(0, want.length), want);
      t.true(result.slice(want.length).every((data) => data === undefined || Object.keys(data).length === 0));
      t.deepEqual(patchesFor(result, want), []);
    }),
  );
});

function applied(have: (Record<string, string> | undefined)[], patches: ReturnType<typeof patchesFor>) {
  const result = [...have];
  for (const { shard, create, data } of patches) {
    if (create !== (result[shard] === undefined)) throw new Error(`create ${create} of shard ${shard}`);
    const merged = new Map<string, string | null>(Object.entries(result[shard] ?? {}));
    for (const [key, value] of Object.entries(data)) merged.set(key, value);
    result[shard] = Object.fromEntries(
      [...merged].filter((pair): pair is [string, string] => pair[1] !== null),
    );
  }
  return result;
}

test('one changed class is one key in one patch', (t) => {
  const have = encodeIntent(intentOf(300));
  const intent = intentOf(300);
  intent.classes.delete(idOf(7));
  t.deepEqual(patchesFor(have, encodeIntent(intent)), [
    { shard: 0, create: false, data: { [idOf(7)]: null } },
  ]);
});

test('no class is hidden between two writes, whatever changes: ids, filters or the number of shards', (t) => {
  const anyMove = fc.record({
    pods: fc.integer({ min: 1, max: 30 }),
    from: fc.constantFrom(1, 2, 4, 8),
    to: fc.constantFrom(1, 2, 4, 8),
    otherIds: fc.boolean(),
  });
  fc.assert(
    fc.property(anyMove, ({ pods, from, to, otherIds }) => {
      const ids = (offset: number) => Array.from({ length: pods }, (_, index) => idOf(offset + index));
      const intentWith = (used: string[], shards: number, labelKeys: string[]): Intent => ({
        meta: { ...meta, shards, labelKeys },
        classes: new Map(used.map((id) => [id, [grant]])),
      });
      const before = { ids: ids(0), keys: ['app'] };
      const after = otherIds ? { ids: ids(1000), keys: ['tier'] } : before;
      const have = encodeIntent(intentWith(before.ids, from, before.keys));
      const want = encodeIntent(intentWith(after.ids, to, after.keys));
      const patches = patchesFor(have, want);
      for (let count = 0; count <= patches.length; count++) {
        const { intent } = decodeIntent(applied(have, patches.slice(0, count)));
        // A reader computes ids as the meta that it finds says.
        const asked = intent?.meta.labelKeys[0] === 'app' ? before.ids : after.ids;
        t.deepEqual(
          asked.filter((id) => !intent?.classes.has(id)),
          [],
          `behind ${count} of ${patches.length} patches`,
        );
      }
    }),
  );
});

test('a shard that cannot hold old and new entries together gives up the old ones at once', (t) => {
  const long = [{ ...grant, because: 'x'.repeat(1000) }];
  const withKey = (offset: number, key: string, shards: number): Intent => ({
    meta: { ...meta, shards, labelKeys: [key] },
    classes: new Map(Array.from({ length: 1200 }, (_, index) => [idOf(offset + index), long])),
  });
  const have = encodeIntent(withKey(0, 'app', 2));
  let now: (Record<string, string> | undefined)[] = have;
  for (const patch of patchesFor(have, encodeIntent(withKey(5000, 'tier', 2)))) {
    now = applied(now, [patch]);
    for (const data of now) t.true(JSON.stringify(Object.values(data ?? {})).length < 1024 * 1024);
  }
  t.deepEqual(now, encodeIntent(withKey(5000, 'tier', 2)));
});

test('a shard is the same for the same id', (t) => {
  fc.assert(
    fc.property(anyClassId, fc.constantFrom(1, 2, 4, 8), (id, shards) => {
      const shard = shardOf(id, shards);
      return (
        Number.isInteger(shard) && shard >= 0 && shard < shards && shardOf(`other${id}`, shards) === shard
      );
    }),
  );
  t.pass();
});
