/**
 * What happens to podmirror and around it under a steady load: the workload notices nothing, every attack that an attached
 * agent was sent is on record or counted as lost, and the ledger closes.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { Ledger } from '../../bpf/index.d.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { manifest } from '../cluster/manifest.ts';
import { whyNoCgroups } from '../harness/cgroup.ts';
import { rootTest } from '../harness/root-test.ts';
import { until } from '../harness/until.ts';
import { type AgentView, agentView } from './agent-view.ts';
import { CHART, importImages, installChart, NAMESPACE, type Podmirror } from './install.ts';
import { agentPod, containersOf, filtersText, imageOf, scale, serviceAddress } from './objects.ts';
import { PREVIOUS, previousChart } from './previous-chart.ts';
import { serialInSecret, serialServed } from './serial.ts';
import { squeeze } from './squeeze.ts';
import {
  PLAIN,
  type SentRequest,
  type SteadyLoad,
  type SteadyLoadOptions,
  startLoad,
} from './steady-load.ts';
import { MIRROR_LABEL, namespaceObject, runWorkloads, workloadObjects } from './workload.ts';

// Longer than the queue lasts: 2 MiB is some 5 s of padded requests.
const absenceMs = Number(process.env.PODMIRROR_TEST_ABSENCE_MS ?? 120_000);
const limits = { maxQueueBytes: 2 * 1024 ** 2 };
const paddingBytes = 2000;

// Rules that look at each request would take both cores of a small machine; what is no attack is delivered all the same.
const passed = { bypass: [{ path: `^${PLAIN}/` }] };
const chartValues = { agent: { config: { limits } }, config: { connector: { input_filters: passed } } };
const FILTERED = { namespace: 'filtered' };

let cluster: Cluster;
let podmirror: Podmirror;
let agent: AgentView;
let web: string;
let neighbour: string;
/** Whose chart it was. */
let upgradedFrom: string;

test.before(async () => {
  if (whyNoCgroups()) return;
  cluster = await startCluster();
  await importImages(cluster);
  const previous = await previousChart(cluster);
  upgradedFrom = previous.of;
  podmirror = await installChart(cluster, chartValues, previous.folder);
  agent = podmirror.agent;
  await runWorkloads(
    cluster,
    [namespaceObject('shop', { [MIRROR_LABEL]: 'enabled' }), namespaceObject('quiet')],
    ['shop', 'quiet'].map((namespace) => ({ namespace, name: 'web', containers: { nginx: 80 } })),
  );
  web = await serviceAddress(cluster, 'shop', 'web');
  neighbour = await serviceAddress(cluster, 'quiet', 'web');
  await agentIsBack();
});

test.after.always(async () => cluster?.stop());

interface Scene {
  t: ExecutionContext;
  load: SteadyLoad;
  /** One more request went to what is mirrored. */
  alsoAsked(): void;
  /** Those of the load, sent in this time (ms since the epoch). */
  attacks(fromMs?: number, untilMs?: number): string[];
  /** Fails unless these attacks come to be on record. */
  areOnRecord(paths: readonly string[]): Promise<void>;
}

/**
 * The load runs from before `happen` until it has returned and a bit longer.
 * As long as the agent is the same process, all of them are to be in its ledger.
 */
function survives(
  title: string,
  name: string,
  happen: (scene: Scene) => Promise<void>,
  options: Partial<SteadyLoadOptions> = {},
): void {
  rootTest(`podmirror survives ${title}`, async (t) => {
    const before = await containersOf(cluster, 'shop', 'app=web');
    const [sameAgent, { exchanges: earlier }] = [agent, await settledLedger()];
    const load = startLoad({ host: web, name, ...options });
    const quiet = startLoad({ host: neighbour, name: `${name}-quiet`, ratePerSecond: 10, attackEvery: 10 });
    let others = 0;
    const scene: Scene = {
      alsoAsked: () => others++,
      t,
      load,
      attacks: (fromMs = 0, untilMs = Number.POSITIVE_INFINITY) => pathsOf(load.sent, fromMs, untilMs),
      areOnRecord: (paths) => areOnRecord(t, paths),
    };
    try {
      await sleep(2000);
      await happen(scene);
      await sleep(2000);
    } finally {
      await Promise.all([load.stop(), quiet.stop()]);
    }
    const failed = [...load.sent, ...quiet.sent].filter(({ failure }) => failure !== undefined);
    t.deepEqual(failed, [], `of ${load.sent.length} requests`);
    t.deepEqual(await containersOf(cluster, 'shop', 'app=web'), before);
    const ledger = await settledLedger();
    t.log(`${load.sent.length} requests; ${JSON.stringify(ledger.exchanges)}`);
    t.true(ledger.closes, JSON.stringify(ledger));
    const { captured, delivered, dropped, inFlight } = ledger.exchanges;
    t.is(captured, delivered + sum(dropped) + inFlight, JSON.stringify(ledger.exchanges));
    if (agent === sameAgent) t.is(captured - earlier.captured, load.sent.length + others);
    await isRightlyAttributed(t, load, before[0]?.pod ?? '');
  });
}

survives(
  'its own upgrade, and so do filters edited by hand',
  'upgrade',
  async ({ t, attacks, areOnRecord }) => {
    t.log(`from the chart of ${upgradedFrom}`);
    const edited = JSON.stringify({ data: { 'filters.yaml': `filters: ${JSON.stringify([FILTERED])}\n` } });
    await cluster.kubectl(['patch', 'configmap', 'podmirror-filters', '-n', NAMESPACE, '-p', edited]);
    t.regex(await imageOf(cluster, 'daemonset/podmirror-agent'), new RegExp(`:${PREVIOUS}$`));
    await areOnRecord(attacks());
    const flags = ['--reset-then-reuse-values', '--wait', '--timeout=180s'];
    await cluster.helm(['upgrade', 'podmirror', CHART, '-n', NAMESPACE, ...flags]);
    await agentIsBack();
    t.notRegex(await imageOf(cluster, 'daemonset/podmirror-agent'), new RegExp(`:${PREVIOUS}$`));
    t.regex(await filtersText(cluster), /filtered/);
    const from = Date.now();
    await runWorkloads(
      cluster,
      [namespaceObject('filtered')],
      [{ namespace: 'filtered', name: 'web', containers: { nginx: 80 } }],
    );
    await agent.mirrors('filtered', ['nginx']);
    await cluster.kubectl(['delete', 'namespace', 'filtered', '--wait=false']);
    await areOnRecord(attacks(from));
  },
);

survives('the deletion of its agent', 'deleted', async ({ t, attacks, areOnRecord }) => {
  const { name } = await agentPod(cluster);
  const lastWords = cluster.kubectl.attempt(['logs', '-f', '-n', NAMESPACE, name]);
  const deletedAtMs = Date.now();
  await cluster.kubectl(['delete', 'pod', '-n', NAMESPACE, name]);
  await agentIsBack();
  // What is lost is what had no answer yet when it ended.
  t.regex(
    (await lastWords).stdout,
    /ledger: captured \d+ = delivered \d+ \+ dropped (0|\d \(shutdown \d\)) \+ in flight 0; no byte lost$/m,
  );
  const attachedAtMs = await attachedSince();
  t.log(`not attached for ${attachedAtMs - deletedAtMs} ms`);
  await sleep(3000);
  await areOnRecord([...attacks(0, deletedAtMs), ...attacks(attachedAtMs)]);
});

survives(
  'the out-of-memory killer, which ends its agent',
  'squeezed',
  async ({ t, attacks, areOnRecord }) => {
    const before = await agentPod(cluster);
    // What a process holds when it is killed goes with it: nobody can count that. A batch leaves within a second.
    const killedAtMs = Date.now();
    await squeeze(agent.pid());
    const killed = await until(
      async () => {
        const pod = await agentPod(cluster);
        return pod.restarts > before.restarts && pod;
      },
      { timeoutMs: 60_000, everyMs: 200 },
    );
    t.is(killed ? killed.lastReason : 'it was not ended', 'OOMKilled');
    await agentIsBack();
    const attachedAtMs = await attachedSince();
    t.log(`not attached for some ${attachedAtMs - killedAtMs} ms`);
    await sleep(3000);
    await areOnRecord([...attacks(0, killedAtMs - 1000), ...attacks(attachedAtMs)]);
  },
);

survives(
  'the exchange of its processor: what waits meanwhile is delivered',
  'exchanged',
  async ({ t, attacks, areOnRecord }) => {
    const before = await ledger();
    await areOnRecord(attacks());
    await scale(cluster, 'processor', 0);
    const goneAtMs = Date.now();
    await scale(cluster, 'processor', 1);
    t.log(`away for ${Date.now() - goneAtMs} ms`);
    await sleep(3000);
    await areOnRecord(attacks(goneAtMs));
    t.is(sum((await ledger()).exchanges.dropped), sum(before.exchanges.dropped));
  },
  { ratePerSecond: 100, attackEvery: 50 },
);

survives(
  `${absenceMs / 1000} s without a processor, longer than its queue lasts: the newest is delivered, the rest counted`,
  'absent',
  async ({ t, attacks, areOnRecord }) => {
    const before = await ledger();
    await areOnRecord(attacks());
    await scale(cluster, 'processor', 0);
    const goneAtMs = Date.now();
    await sleep(absenceMs);
    await scale(cluster, 'processor', 1);
    const deliveredAgain = await until(async () => (await podmirror.record.stats()).received > 0, {
      timeoutMs: 30_000,
      everyMs: 100,
    });
    t.truthy(deliveredAgain);
    await sleep(3000);
    await areOnRecord(attacks(Date.now() - 4000));
    const after = await ledger();
    const dropped = after.exchanges.dropped.queue_full ?? 0;
    t.true(dropped > (before.exchanges.dropped.queue_full ?? 0), JSON.stringify(after.exchanges));
    // All that is not on record is counted: no attack more than exchanges were dropped.
    const away = attacks(goneAtMs);
    const missing = away.length - (await podmirror.record.among(away)).length;
    t.log(`${missing} of ${away.length} attacks were dropped with ${dropped} exchanges`);
    t.true(missing <= dropped);
  },
  { paddingBytes },
);

survives(
  'pods that are created while no webhook is there: it adopts them',
  'webhook',
  async ({ t, attacks, areOnRecord, alsoAsked }) => {
    await scale(cluster, 'webhook', 0);
    // Another container name: of a kind that the intent does not have yet.
    const late = { namespace: 'shop', name: 'late', containers: { server: 80 } };
    await runWorkloads(cluster, [], [late]);
    const created = Date.now();
    await scale(cluster, 'webhook', 2);
    const isAdopted = await until(async () =>
      agent.mirrors('shop', ['nginx', 'server']).catch(() => undefined),
    );
    t.truthy(isAdopted);
    t.log(`adopted ${Date.now() - created} ms after it was ready, with the start of the webhook`);
    const path = '/late-attack';
    await fetch(`http://${await serviceAddress(cluster, 'shop', 'late')}${path}?file=../../../etc/passwd`);
    t.like(await podmirror.record.attackOn(path), { target: { namespace: 'shop', container: 'server' } });
    await cluster.kubectl(
      ['delete', '-f', '-', '--wait=false'],
      manifest(workloadObjects(cluster.images.nginx, late)),
    );
    await areOnRecord(attacks());
    alsoAsked();
  },
);

survives(
  'a crash of the API server: it keeps what it knows, and says so',
  'apiserver',
  async ({ t, attacks, areOnRecord }) => {
    await cluster.killApiServer();
    await sleep(8000);
    await areOnRecord(attacks(0, Date.now() - 1000));
    const { cluster: said } = (await agent.page('/coverage')) as { cluster: { trouble: string | null } };
    t.truthy(said.trouble);
    await cluster.startApiServer();
    await sleep(1000);
    await areOnRecord(attacks());
  },
);

survives("a restart of the node's containerd", 'containerd', async ({ attacks, areOnRecord }) => {
  await cluster.restartContainerd();
  await sleep(1000);
  await areOnRecord(attacks());
});

survives(
  'two rotations of its certificates: no batch is lost',
  'rotated',
  async ({ t, attacks, areOnRecord }) => {
    const { exchanges: before } = await ledger();
    const earlier = await reloadsOfAgent();
    for (const rotation of [1, 2]) {
      await rotate(t);
      const isUsed = async () => (await reloadsOfAgent()) >= earlier + rotation;
      t.truthy(
        await until(isUsed, { timeoutMs: 60_000, everyMs: 500 }),
        'the agent uses its new certificate',
      );
    }
    await sleep(1000);
    await areOnRecord(attacks());
    t.deepEqual((await ledger()).exchanges.dropped, before.dropped);
  },
);

const reloadsOfAgent = async () =>
  [...(await agent.log()).matchAll(/new certificate from \S+ is in use/g)].length;

/** All three leaves anew; returns when the processor serves its own. */
async function rotate(t: ExecutionContext): Promise<void> {
  const secrets = ['agent', 'processor', 'webhook'].map((part) => `podmirror-${part}-tls`);
  const old = await serialInSecret(cluster, 'podmirror-processor-tls');
  await cluster.kubectl(['delete', 'secret', '-n', NAMESPACE, ...secrets]);
  const made = await until(() => serialInSecret(cluster, 'podmirror-processor-tls'), {
    timeoutMs: 30_000,
    everyMs: 200,
  });
  t.truthy(made);
  t.not(made, old);
  const address = await serviceAddress(cluster, NAMESPACE, 'podmirror-processor');
  const isServed = async () => (await serialServed(address)) === made;
  t.truthy(
    await until(isServed, { timeoutMs: 60_000, everyMs: 500 }),
    'the processor uses its new certificate',
  );
}

rootTest('intent that is gone silences an open connection at once', async (t) => {
  const before = await settledLedger();
  const load = startLoad({ host: web, name: 'silenced', ratePerSecond: 50, attackEvery: 10 });
  try {
    await sleep(2000);
    const label = ['label', 'namespace', 'shop', '--overwrite'];
    const unlabelledAtMs = Date.now();
    await cluster.kubectl([...label, `${MIRROR_LABEL}=disabled`]);
    await agent.mirrors('shop', []);
    const silentAtMs = Date.now();
    t.log(`silent ${silentAtMs - unlabelledAtMs} ms after the label`);
    const silent = await settledLedger();
    await sleep(3000);
    const still = await settledLedger();
    t.is(still.exchanges.captured, silent.exchanges.captured);
    t.is(still.bytes.seen, silent.bytes.seen);
    const relabelledAtMs = Date.now();
    await cluster.kubectl([...label, `${MIRROR_LABEL}=enabled`]);
    await agent.mirrors('shop', ['nginx']);
    const attachedAtMs = await attachedSince();
    await sleep(2000);
    await areOnRecord(t, [...pathsOf(load.sent, 0, unlabelledAtMs), ...pathsOf(load.sent, attachedAtMs)]);
    t.deepEqual(await podmirror.record.among(pathsOf(load.sent, silentAtMs, relabelledAtMs)), []);
  } finally {
    await load.stop();
  }
  t.deepEqual(
    load.sent.filter(({ failure }) => failure !== undefined),
    [],
  );
  t.true((await settledLedger()).exchanges.captured > before.exchanges.captured);
});

const pathsOf = (
  sent: readonly SentRequest[],
  fromMs: number,
  untilMs = Number.POSITIVE_INFINITY,
): string[] =>
  sent
    .filter(
      ({ isAttack, sentAtMs, answeredAtMs }) =>
        isAttack && answeredAtMs !== undefined && sentAtMs >= fromMs && sentAtMs <= untilMs,
    )
    .map(({ path }) => path)
    .sort();

async function areOnRecord(t: ExecutionContext, paths: readonly string[]): Promise<void> {
  const { record } = podmirror;
  const wanted = [...paths].sort();
  // An agent that found no processor asks again within ten seconds, or after a connection that leads nowhere has timed out.
  await until(async () => (await record.among(wanted)).length === wanted.length, {
    timeoutMs: 60_000,
    everyMs: 200,
  });
  t.deepEqual(await record.among(wanted), wanted);
}

/** Each attack of the load once, at this pod's container; none of the neighbour. */
async function isRightlyAttributed(t: ExecutionContext, load: SteadyLoad, pod: string): Promise<void> {
  const name = load.sent[0]?.path.replace(/\d+$/, '') ?? '';
  const own = (await podmirror.record.attacks()).filter(({ path }) => path.startsWith(name));
  t.true(own.length > 0);
  const wrong = own.filter(
    ({ hits, target }) =>
      hits !== 1 || target.namespace !== 'shop' || target.pod !== pod || target.container !== 'nginx',
  );
  t.deepEqual(wrong, []);
  const sent = new Set(load.sent.filter(({ isAttack }) => isAttack).map(({ path }) => path));
  t.deepEqual(
    own.filter(({ path }) => !sent.has(path)),
    [],
  );
}

const ledger = async () => (await agent.page('/ledger')) as Ledger;

/** When nothing is under way any more. */
async function settledLedger(): Promise<Ledger> {
  await until(async () => (await ledger()).exchanges.inFlight === 0, { timeoutMs: 10_000, everyMs: 50 });
  return ledger();
}

const sum = (counts: Record<string, number>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

/** Milliseconds since the epoch. */
async function attachedSince(): Promise<number> {
  const [target] = await agent.mirrors('shop', ['nginx']);
  return target?.selectedAtMs ?? Number.NaN;
}

/** The one of before may still be the one that `agent` asks. */
async function agentIsBack(): Promise<void> {
  await cluster.kubectl(['rollout', 'status', 'daemonset/podmirror-agent', '-n', NAMESPACE, '--timeout=90s']);
  agent = agentView(cluster);
  const isBack = await until(async () => agent.mirrors('shop', ['nginx']).catch(() => undefined), {
    timeoutMs: 60_000,
  });
  if (isBack) return;
  const all = ['-n', NAMESPACE, '--prefix', '-l', 'app.kubernetes.io/name=podmirror', '--tail=40'];
  throw new Error(`the agent mirrors nothing: ${await cluster.kubectl(['logs', ...all])}`);
}
