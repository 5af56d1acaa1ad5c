import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { createAgents } from '../coverage/agents.ts';
import { sampleReport } from '../coverage/fake/report.ts';
import type { Stats } from '../store/store.ts';
import { createApi } from './app.ts';

const token = 'a-token-for-the-tests';
const stats: Stats = {
  batches: 1,
  received: 2,
  duplicateBatches: 0,
  duplicateExchanges: 0,
  inspected: 2,
  excluded: {},
  dropped: {},
  pending: 0,
  hits: 0,
};

async function serve(t: ExecutionContext) {
  const store = { attacks: () => [], attack: () => undefined };
  const coverage = createAgents({ now: () => 0 });
  coverage.take(['podmirror-agent'], sampleReport());
  const server = createServer(
    createApi({ store, stats: () => stats, coverage, token, onInternal: (error) => t.fail(error.stack) }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  return (path: string, given: string | undefined = token, method = 'GET') =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: given === '' ? {} : { authorization: `Bearer ${given}` },
    });
}

type Row = [path: string, token: string | undefined, method: string, status: number, code: string];
const rows: Row[] = [
  ['/api/attacks', '', 'GET', 401, 'token_missing'],
  ['/api/attacks', 'wrong', 'GET', 401, 'token_wrong'],
  ['/api/none', '', 'GET', 401, 'token_missing'],
  ['/api/none', token, 'GET', 404, 'not_found'],
  ['/none', '', 'GET', 404, 'not_found'],
  ['/api/attacks/1', token, 'GET', 404, 'attack_not_found'],
  ['/api/attacks/x', token, 'GET', 404, 'attack_not_found'],
  ['/api/attacks', token, 'POST', 405, 'method_not_allowed'],
  ['/api/attacks?type=nonsense', token, 'GET', 400, 'bad_query'],
  ['/api/attacks?limit=0', token, 'GET', 400, 'bad_query'],
  ['/api/attacks?before=x', token, 'GET', 400, 'bad_query'],
  ['/api/attacks?tpye=xss', token, 'GET', 400, 'bad_query'],
  ['/api/attacks/%E0%A4%A', token, 'GET', 400, 'bad_query'],
  ['/api/coverage', '', 'GET', 401, 'token_missing'],
  ['/api/coverage', token, 'POST', 405, 'method_not_allowed'],
  ['/api/coverage/00', '', 'GET', 401, 'token_missing'],
  ['/api/coverage/00', token, 'GET', 404, 'agent_not_found'],
  ['/..%2fmain.ts', '', 'GET', 404, 'not_found'],
];
for (const [path, given, method, status, code] of rows) {
  test(`${method} ${path} with ${given ? (given === token ? 'the token' : 'a wrong token') : 'no token'} is ${code}`, async (t) => {
    const response = await (await serve(t))(path, given, method);
    t.is(response.status, status);
    t.like(await response.json(), { error: { code } });
  });
}

test('with the token the API answers', async (t) => {
  const get = await serve(t);
  t.deepEqual(await (await get('/api/stats')).json(), stats);
  t.deepEqual(await (await get('/api/attacks?type=xss&limit=10&before=')).json(), {
    attacks: [],
    next: null,
  });
});

test('coverage is a list of agents, and each of them by its id', async (t) => {
  const get = await serve(t);
  const { agents } = (await (await get('/api/coverage')).json()) as { agents: { id: string }[] };
  t.like(agents, [
    { node: 'node-1', silent: false, summary: { targets: 1, notCovered: [{ library: 'Java' }] } },
  ]);
  const detail = await (await get(`/api/coverage/${agents[0]?.id}`)).json();
  t.like(detail, { node: 'node-1', targets: [{ identity: { name: 'shop' } }], refused: [], notes: [] });
});

test('the page needs no token and lets nothing else in', async (t) => {
  const response = await (await serve(t))('/', '');
  t.is(response.status, 200);
  t.regex(response.headers.get('content-security-policy') ?? '', /default-src 'none'; script-src 'self'/);
  const html = await response.text();
  t.false(/<script>|<style|style=|\son\w+=|http:\/\/(?!your-mirrored-service)/.test(html));
});
