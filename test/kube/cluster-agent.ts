/** The agent as its DaemonSet starts it, on this machine as one node of a test's API server. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import type { Ledger } from '../../bpf/index.d.ts';
import { temporaryDirectory } from '../harness/directory.ts';
import { freePort } from '../harness/free-port.ts';
import { type Program, startProgram } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import type { Kube } from './kube.ts';

export interface ClusterAgent extends Program {
  ledger(): Promise<Ledger>;
  coverage(): Promise<ClusterCoverage>;
  readiness(): Promise<{ status: number; reasons: string[] }>;
  metric(name: string): Promise<number>;
}

export interface ClusterCoverage {
  cluster: { node: string; ageMs: number; trouble: string | null };
  targets: { cgroup: string; identity: Record<string, string>; because: string | null; exchanges: number }[];
  refused: { namespace: string; pod: string; container?: string; because: string }[];
  notes: string[];
}

export const AGENT = { namespace: 'podmirror', account: 'podmirror-agent' };

/** What the agent may do, and nothing else. */
export async function createAgentAccount({ kubectl }: Kube): Promise<void> {
  const metadata = { name: AGENT.account, namespace: AGENT.namespace };
  const subjects = [{ kind: 'ServiceAccount', name: AGENT.account, namespace: AGENT.namespace }];
  const apiGroup = 'rbac.authorization.k8s.io';
  const apiVersion = `${apiGroup}/v1`;
  const shards = ['', '-1', '-2', '-3', '-4', '-5', '-6', '-7'].map((suffix) => `podmirror-intent${suffix}`);
  const items = [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    {
      apiVersion,
      kind: 'Role',
      metadata,
      rules: [
        { apiGroups: [''], resources: ['configmaps'], resourceNames: shards, verbs: ['list', 'watch'] },
      ],
    },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata,
      subjects,
      roleRef: { apiGroup, kind: 'Role', name: AGENT.account },
    },
    {
      apiVersion,
      kind: 'ClusterRole',
      metadata,
      rules: [
        { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] },
        { apiGroups: [''], resources: ['events'], verbs: ['create'] },
      ],
    },
    {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata,
      subjects,
      roleRef: { apiGroup, kind: 'ClusterRole', name: AGENT.account },
    },
  ];
  await kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
}

/** Prints exchanges. Resolves when it is ready; killed with the test. */
export async function openClusterAgent(
  t: ExecutionContext,
  kube: Kube,
  {
    node,
    more = {},
    wrapper = [],
  }: {
    node: string;
    /** Keys of podmirror.yaml besides cluster and listen. */
    more?: Record<string, unknown>;
    /** A command that execs what follows it, such as setpriv. */
    wrapper?: readonly string[];
  },
): Promise<ClusterAgent> {
  const directory = temporaryDirectory(t);
  const [healthPort, metricsPort] = [await freePort(), await freePort()];
  const config = join(directory, 'podmirror.yaml');
  const listen = { health: `127.0.0.1:${healthPort}`, metrics: `127.0.0.1:${metricsPort}` };
  writeFileSync(config, stringify({ cluster: {}, listen, ...more }));
  const account = await writeAccount(kube, directory);

  // As the kubelet mounts it, in a mount namespace of its own.
  const place = '/run/secrets/kubernetes.io/serviceaccount';
  const script = `mount -t tmpfs none /run && mkdir -p ${place} && mount --bind "$0" ${place} && exec "$@"`;
  const { hostname, port } = new URL(kube.server);
  const program = startProgram([
    'env',
    `PATH=${dirname(process.execPath)}:${process.env.PATH}`,
    `NODE_NAME=${node}`,
    'POD_NAME=podmirror-agent-test',
    `POD_NAMESPACE=${AGENT.namespace}`,
    `KUBERNETES_SERVICE_HOST=${hostname}`,
    `KUBERNETES_SERVICE_PORT=${port}`,
    'unshare',
    '-m',
    'sh',
    '-c',
    script,
    account,
    ...wrapper,
    'agent/podmirror-agent',
    '--config',
    config,
    '--print',
  ]);
  t.teardown(async () => {
    program.signal('SIGKILL');
    await program.ended;
  });

  const page = async (name: string) => fetch(`http://127.0.0.1:${metricsPort}/${name}`);
  const readiness = async () => {
    const response = await fetch(`http://127.0.0.1:${healthPort}/ready`);
    const { reasons } = (await response.json()) as { reasons: string[] };
    return { status: response.status, reasons };
  };
  const isReady = async () =>
    !program.running() || (await readiness().catch(() => undefined))?.status === 200;
  if (!(await until(isReady, { timeoutMs: 20_000 })) || !program.running())
    throw new Error(`open agent: it said:\n${program.stderr()}`);
  return {
    ...program,
    readiness,
    ledger: async () => (await (await page('ledger')).json()) as Ledger,
    coverage: async () => (await (await page('coverage')).json()) as ClusterCoverage,
    async metric(name) {
      const text = await (await page('metrics')).text();
      return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
    },
  };
}

async function writeAccount(kube: Kube, directory: string): Promise<string> {
  const folder = join(directory, 'account');
  mkdirSync(folder);
  const token = await kube.kubectl(['create', 'token', AGENT.account, '-n', AGENT.namespace]);
  writeFileSync(join(folder, 'token'), token.trim());
  writeFileSync(join(folder, 'namespace'), AGENT.namespace);
  writeFileSync(join(folder, 'ca.crt'), readFileSync(join(kube.directory, 'ca.crt')));
  return folder;
}
