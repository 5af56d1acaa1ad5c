import test from 'ava';
import { createAgents } from './agents.ts';
import { sampleReport } from './fake/report.ts';

function keeping(bounds: { maxAgents?: number; maxBytes?: number } = {}) {
  const clock = { ms: Date.UTC(2026, 0, 1) };
  const agents = createAgents({ now: () => clock.ms, ...bounds });
  const take = (node: string, client = 'podmirror-agent') =>
    agents.take([client], sampleReport({ node, notes: [`from ${client}`] }));
  const nodes = () => agents.list().map(({ node }) => node);
  return { clock, agents, take, nodes };
}

const seconds = (n: number) => n * 1000;

test('agents are listed by node with a summary, and one of them with all that it told', (t) => {
  const { agents, take } = keeping();
  take('node-2');
  take('node-1');
  const list = agents.list();
  t.deepEqual(
    list.map(({ node, silent, heardAt }) => [node, silent, heardAt]),
    [
      ['node-1', false, '2026-01-01T00:00:00.000Z'],
      ['node-2', false, '2026-01-01T00:00:00.000Z'],
    ],
  );
  t.false('targets' in (list[0] ?? {}));
  const detail = agents.get(list[0]?.id ?? '');
  t.like(detail, {
    node: 'node-1',
    client: 'podmirror-agent',
    agentVersion: '0.1.0',
    summary: { targets: 1 },
  });
  t.deepEqual(
    detail?.targets.map(({ identity, notCovered }) => [identity.name, notCovered[0]?.library]),
    [['shop', 'Java']],
  );
  t.is(agents.get('none'), undefined);
});

test('the newest report of an agent counts, and it keeps its id', (t) => {
  const { agents, take, clock } = keeping();
  take('node-1');
  const [before] = agents.list();
  clock.ms += seconds(30);
  agents.take(['podmirror-agent'], sampleReport({ targets: [] }));
  t.like(agents.list(), [{ id: before?.id, heardMsAgo: 0, summary: { targets: 0 } }]);
});

test('nobody replaces the report of an agent with another certificate by naming its node', (t) => {
  const { agents, take } = keeping();
  take('node-1', 'agent-a');
  take('node-1', 'agent-b');
  const notes = agents.list().map(({ client, summary }) => [client, ...summary.notes]);
  t.deepEqual(notes.sort(), [
    ['agent-a', 'from agent-a'],
    ['agent-b', 'from agent-b'],
  ]);
});

test('an agent that has not told for 90 s is silent, until it tells again; after a day it is forgotten', (t) => {
  const { agents, take, clock, nodes } = keeping();
  take('node-1');
  clock.ms += seconds(89);
  t.deepEqual(agents.count(), { heard: 1, silent: 0 });
  clock.ms += seconds(1);
  t.like(agents.list(), [{ silent: true, heardMsAgo: seconds(90) }]);
  t.deepEqual(agents.count(), { heard: 0, silent: 1 });
  take('node-1');
  t.like(agents.list(), [{ silent: false, heardMsAgo: 0 }]);
  clock.ms += seconds(24 * 3600) - 1;
  t.deepEqual(nodes(), ['node-1']);
  clock.ms += 1;
  t.deepEqual(nodes(), []);
  t.deepEqual(agents.count(), { heard: 0, silent: 0 });
});

test('of too many agents the newcomer is refused while all others are heard, and takes the place of one that is silent', (t) => {
  const { take, clock, nodes } = keeping({ maxAgents: 2 });
  take('a');
  clock.ms += seconds(60);
  take('b');
  t.is(take('c'), 'full');
  t.is(take('b'), 'taken');
  clock.ms += seconds(30);
  t.is(take('c'), 'taken');
  t.deepEqual(nodes(), ['b', 'c']);
});

test('what all reports take together is bounded, and what is given up is free again', (t) => {
  const size = Buffer.byteLength(
    JSON.stringify(sampleReport({ node: 'a', notes: ['from podmirror-agent'] })),
  );
  const { take, clock, nodes } = keeping({ maxBytes: 2 * size });
  for (let round = 0; round < 5; round++) {
    t.is(take('a'), 'taken');
    t.is(take('b'), 'taken');
    t.is(take('c'), 'full');
  }
  clock.ms += seconds(90);
  t.is(take('c'), 'taken');
  t.is(take('d'), 'taken');
  t.is(take('e'), 'full');
  t.deepEqual(nodes(), ['c', 'd']);
});

test('a clock that was set back makes nobody older than he is', (t) => {
  const { agents, take, clock } = keeping();
  take('node-1');
  clock.ms -= seconds(1000);
  t.like(agents.list(), [{ silent: false, heardMsAgo: 0 }]);
});
