import test from 'ava';
import { planMix } from './mix.ts';
import { seededRandom } from './random.ts';
import { encodeRequest } from './request.ts';

const plan = (seed: number) => planMix({ random: seededRandom(seed), requests: 20_000 });
const requestsOf = (connections: ReturnType<typeof plan>) =>
  connections.flatMap(({ groups }) => groups.flat());

test('a mix holds at least the requests asked for, each with an id of its own', (t) => {
  const requests = requestsOf(plan(1));
  t.true(requests.length >= 20_000);
  t.is(new Set(requests.map(({ id }) => id)).size, requests.length);
});

test('equal seeds send equal bytes', (t) => {
  const bytes = () =>
    Buffer.concat(
      requestsOf(plan(7))
        .slice(0, 500)
        .map((request) => encodeRequest(request).body),
    );
  t.true(bytes().equals(bytes()));
});

test('every kind of request and every delivery is in the mix', (t) => {
  const connections = plan(1);
  t.deepEqual(new Set(connections.map(({ delivery }) => delivery)), new Set(['whole', 'slices', 'bytes']));
  t.true(new Set(requestsOf(connections).map(({ kind }) => kind)).size >= 35);
  t.true(connections.some(({ halfClose }) => halfClose));
  t.true(connections.some(({ groups }) => groups.some(({ length }) => length > 5)));
});
