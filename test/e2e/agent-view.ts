/** What the node's agent says of itself: its pages, its log, and its process on this machine. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../harness/until.ts';

export interface Target {
  cgroup: string;
  identity: { namespace?: string; pod?: string; container?: string };
  exchanges: number;
  /** Wall clock in ms since the epoch. */
  selectedAtMs: number;
  /** The rule that asks for it. */
  because: string | null;
}

export interface Coverage {
  targets: Target[];
  refused: { namespace: string; pod: string; container?: string; because: string }[];
  notes: string[];
}

export interface AgentView {
  page(path: '/coverage' | '/ledger'): Promise<unknown>;
  coverage(): Promise<Coverage>;
  /** Waits until the mirrored containers of this namespace are these, sorted; throws with what they are instead. */
  mirrors(namespace: string, containers: readonly string[]): Promise<Target[]>;
  log(): Promise<string>;
  /** Of its process, as this machine counts. */
  pid(): number;
}

const selector = 'app.kubernetes.io/component=agent';

export function agentView({ kubectl, instance }: Cluster, namespace = 'podmirror'): AgentView {
  const running = ['--field-selector=status.phase=Running', '-o', 'jsonpath={.items[0].status.podIP}'];
  let known: string | undefined;
  const address = async () => {
    known ??= await kubectl(['get', 'pods', '-n', namespace, '-l', selector, ...running]);
    return known;
  };
  const page = async (path: string): Promise<unknown> => {
    try {
      const response = await fetch(`http://${await address()}:9090${path}`, {
        signal: AbortSignal.timeout(5000),
      });
      return await response.json();
    } catch (error) {
      // Its pod may be another by now.
      known = undefined;
      throw new Error(`GET ${path} of the agent: ${(error as Error).message}`, { cause: error });
    }
  };
  const coverage = async () => (await page('/coverage')) as Coverage;
  return {
    page,
    coverage,
    async mirrors(wanted, containers) {
      let targets: Target[] = [];
      const isSo = await until(
        async () => {
          targets = (await coverage()).targets.filter(
            ({ identity }) => identity.namespace === wanted && identity.container !== undefined,
          );
          return (
            `${targets.map(({ identity }) => identity.container).sort()}` === `${[...containers].sort()}`
          );
        },
        { timeoutMs: 20_000, everyMs: 25 },
      );
      if (isSo) return targets;
      throw new Error(
        `of namespace ${wanted} the agent mirrors ${JSON.stringify(targets)}, not ${containers.join(', ') || 'nothing'}`,
      );
    },
    log: () => kubectl(['logs', '-n', namespace, '-l', selector, '--tail=-1']),
    pid() {
      const found = readdirSync('/proc').find((entry) => isAgent(entry, instance.cgroup));
      if (found === undefined) throw new Error('no process of the agent is there');
      return Number(found);
    },
  };
}

function isAgent(entry: string, cgroup: string): boolean {
  if (!/^\d+$/.test(entry)) return false;
  try {
    return (
      readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes('\0agent/main.ts\0') &&
      readFileSync(`/proc/${entry}/cgroup`, 'utf8').includes(`${cgroup}/`)
    );
  } catch {
    return false;
  }
}
