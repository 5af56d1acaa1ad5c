/** `make bench`: the webhook and its controller behind a real API server with 10,000 pods. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Api, createApi, pathOf } from '../../webhook/cluster/api.ts';
import { systemClock } from '../../webhook/cluster/clock.ts';
import { kubeConfigConnection } from '../../webhook/cluster/connection.ts';
import { decodeIntent } from '../../webhook/intent/document.ts';
import { type Leave, leavingNothing } from '../harness/leave.ts';
import { residentBytes } from '../harness/processes.ts';
import { until } from '../harness/until.ts';
import { readShards } from '../kube/agent-view.ts';
import { untilConverged } from '../kube/convergence.ts';
import { deployPodmirror, type Podmirror } from '../kube/deploy.ts';
import { type Kube, startKube } from '../kube/kube.ts';
import { machine } from './machine.ts';
import { type Creations, creationRounds, metricsOf } from './webhook-creations.ts';
import { type LabelChange, quantile, renderWebhookReport } from './webhook-report.ts';
import { CLASSES_EACH, fillCluster, NAMESPACES } from './webhook-workloads.ts';

const usage = `usage: node test/bench/webhook.ts [--pods 10000] [--rounds 8] [--seconds 5] [--rate 200] [--changes 10]

Needs root. Writes test/bench/webhook-results.md.
`;

const RESULTS = fileURLToPath(new URL('webhook-results.md', import.meta.url));

const { values } = parseArgs({
  options: {
    pods: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '5' },
    rate: { type: 'string', default: '200' },
    changes: { type: 'string', default: '10' },
    help: { type: 'boolean', short: 'h' },
  },
});

if (values.help) process.stdout.write(usage);
else process.exitCode = await leavingNothing(main);

async function main(leave: Leave): Promise<number> {
  const pods = Number(values.pods);
  const kube = await startKube();
  leave.defer(() => kube.stop());
  const podmirror = await deployPodmirror(kube);
  leave.defer(() => podmirror.stop());
  await podmirror.start(0);
  await podmirror.start(1);
  const connection = await kubeConfigConnection({ file: kube.kubeconfig, clock: systemClock });
  leave.defer(() => connection.close());
  const api = createApi({ connection });

  say(`${NAMESPACES} namespaces, ${pods} pods`);
  const workloads = await fillCluster(kube, api, pods);
  await untilConverged(kube.kubectl, 120_000);
  const size = await sizeOf(kube);
  const resident = podmirror.replicas.map(({ pid }) => residentBytes(pid));
  say(`${size.classes} classes in ${size.bytes} bytes`);

  const changes: LabelChange[] = [];
  for (let number = 0; number < Number(values.changes); number++) {
    changes.push(await changeLabel(api, podmirror, number % 2 === 0 ? 'disabled' : 'enabled'));
    say(`label change ${number + 1}: ${JSON.stringify(changes.at(-1))}`);
  }

  const rounds = await creationRounds({
    workloads,
    kubectl: kube.kubectl,
    replicas: podmirror.replicas,
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    rate: Number(values.rate),
    onRound: ({ on, off }) => say(`creations: ${told(off)} → ${told(on)} ms (median / p90 / p99)`),
  });
  const report = renderWebhookReport({
    pods,
    size,
    resident,
    changes,
    rounds,
    rate: Number(values.rate),
    residentAfter: podmirror.replicas.map(({ pid }) => residentBytes(pid)),
    machine: machine('test/bench/webhook.ts'),
  });
  writeFileSync(RESULTS, report);
  process.stdout.write(`\n${report}\nwritten to ${RESULTS}\n`);
  return 0;
}

function told({ times }: Creations): string {
  return [0.5, 0.9, 0.99].map((part) => quantile(times, part).toFixed(1)).join(' / ');
}

function say(sentence: string): void {
  process.stdout.write(`${sentence}\n`);
}

async function sizeOf(kube: Kube): Promise<{ classes: number; bytes: number; shards: number }> {
  const shards = await readShards(kube.kubectl);
  const { intent } = decodeIntent(shards);
  const bytes = Buffer.byteLength(JSON.stringify(shards));
  return { classes: intent?.classes.size ?? 0, bytes, shards: shards.length };
}

/** From the answer to the change of the label to a ConfigMap that says so. */
async function changeLabel(
  api: Api,
  podmirror: Podmirror,
  word: 'enabled' | 'disabled',
): Promise<LabelChange> {
  const writesBefore = await intentWrites(podmirror);
  const labels = { 'wallarm-mirror': word };
  await api.mergePatch(pathOf({}, 'namespaces', 'bench-0'), { metadata: { labels } });
  const beganAt = performance.now();
  const path = pathOf({ namespace: 'podmirror' }, 'configmaps', 'podmirror-intent');
  const isRight = async () => {
    const { data } = (await api.get(path)) as { data: Record<string, string> };
    const { intent } = decodeIntent([data]);
    const grants = [...(intent?.classes ?? [])].filter(([id]) => id.startsWith('bench-0.'));
    return word === 'disabled'
      ? grants.length === 0
      : grants.length === CLASSES_EACH &&
          grants.every(([, list]) => list.every(({ because }) => because.includes('wallarm-mirror=enabled')));
  };
  const found = await until(isRight, { timeoutMs: 30_000, everyMs: 1 });
  if (!found) throw new Error(`the ConfigMap does not follow the label ${word}`);
  const ms = performance.now() - beganAt;
  return { word, ms, writes: (await intentWrites(podmirror)) - writesBefore };
}

/** Of both replicas: one leads. */
async function intentWrites(podmirror: Podmirror): Promise<number> {
  const texts = await Promise.all(podmirror.replicas.map(metricsOf));
  return texts.reduce((sum, text) => sum + sample(text, 'podmirror_intent_writes_total'), 0);
}

function sample(text: string, name: string): number {
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1] ?? 0,
  );
}
