// Keeps the addon's targets equal to what the cluster asks of this node now.
import { join } from 'node:path';
import type { Capture, CaptureErrorCode, Identity } from '../../bpf/index.d.ts';
import type { CgroupTree } from '../cgroups.ts';
import type { Log } from '../log.ts';
import type { Targets } from '../targets.ts';
import { type Decision, decide, type NodeFacts, type Refusal } from './decide.ts';
import type { ContainerNames } from './names.ts';
import type { NodePod } from './pod.ts';
import { type PodCgroup, podCgroupsOf } from './pod-cgroups.ts';
import { workloadOf } from './workload.ts';

/** What was said of one container or pod, for events and coverage. */
export interface Saying {
  kind: 'mirroring' | 'released' | 'refused';
  pod: NodePod;
  container: string | undefined;
  /** The deciding rule, or why not. */
  because: string;
}

export interface ClusterTargets extends Targets {
  /** Decides again from what is known, without a look at the machine. Never throws. */
  update(): void;
  coverage(): {
    /** By the absolute path of the cgroup, as the addon names it. */
    rules: Map<string, string>;
    refused: { namespace: string; pod: string; container?: string; because: string }[];
  };
}

interface Wanted {
  inode: number;
  identity: Identity;
  pod: NodePod;
  container: string;
  because: string;
}

// A status may be ahead of what was seen of the cgroups, or behind.
const missingMs = 10_000;

export function createClusterTargets({
  known,
  names,
  capture,
  tree,
  mount,
  log,
  say = () => {},
  now = () => performance.now(),
}: {
  /** What the watches have told; undefined: not everything was heard once. */
  known: () => Omit<NodeFacts, 'cgroups' | 'nameOf'> | undefined;
  names: ContainerNames;
  capture: Pick<Capture, 'select' | 'release'>;
  tree: CgroupTree;
  mount: string;
  log: Log;
  say?: (saying: Saying) => void;
  now?: () => number;
}): ClusterTargets {
  const attached = new Map<string, Wanted>();
  /** By what they are about, so that each is told once. */
  let refusals = new Map<string, Refusal>();
  const missingSince = new Map<string, number>();
  let cgroups: ReadonlyMap<string, PodCgroup> = new Map();
  let inodes: ReadonlyMap<string, number> = new Map();
  let trouble: string | undefined;

  const attach = (path: string, wanted: Wanted): Refusal | undefined => {
    try {
      capture.select({ cgroup: join(mount, path), identity: wanted.identity });
    } catch (error) {
      const { code, message } = error as Error & { code?: CaptureErrorCode };
      // Gone between the look and the call: the next look sees it so.
      if (code === 'NOT_FOUND') return undefined;
      return { pod: wanted.pod, container: wanted.container, because: message };
    }
    const before = attached.get(path);
    attached.set(path, wanted);
    if (before?.because !== wanted.because) tell({ kind: 'mirroring', ...wanted });
    return undefined;
  };

  const release = (path: string, gone: Wanted, because: string) => {
    capture.release(join(mount, path));
    attached.delete(path);
    tell({ kind: 'released', pod: gone.pod, container: gone.container, because });
  };

  const tell = (saying: Saying) => {
    const { kind, pod, container, because } = saying;
    const words = { mirroring: 'mirroring', released: 'released', refused: 'not mirroring' }[kind];
    log.info(`${words} ${subjectOf(pod, container)}: ${because}`);
    say(saying);
  };

  const apply = (decision: Decision, pods: Iterable<NodePod>) => {
    const wanted = wantedOf(decision);
    const alive = new Map([...pods].map((pod) => [pod.uid, pod]));
    for (const [path, target] of attached) {
      if (wanted.get(path)?.inode === target.inode) continue;
      release(path, target, whyReleased(path, target, alive, decision));
    }
    const failed = [...wanted].flatMap(([path, target]) => {
      const before = attached.get(path);
      if (before && isSame(before, target)) return [];
      return attach(path, target) ?? [];
    });
    refuse([...decision.refused, ...failed, ...overdue(decision)]);
  };

  const whyReleased = (
    path: string,
    { pod, container }: Wanted,
    alive: ReadonlyMap<string, NodePod>,
    { refused }: Decision,
  ): string => {
    if (!inodes.has(path)) return alive.has(pod.uid) ? 'its container ended' : 'the pod is gone';
    const now = alive.get(pod.uid);
    if (!now) return 'the pod is gone';
    if (now.completed) return 'the pod has completed';
    const refusal = refused.find(
      (one) => one.pod.uid === pod.uid && [undefined, container].includes(one.container),
    );
    return refusal?.because ?? 'nothing asks for it any more';
  };

  const overdue = ({ missing }: Decision): Refusal[] => {
    const keys = new Set(missing.map(({ pod, container }) => keyOf(pod, container)));
    for (const key of missingSince.keys()) if (!keys.has(key)) missingSince.delete(key);
    return missing.flatMap(({ pod, container }) => {
      const key = keyOf(pod, container);
      const since = missingSince.get(key) ?? now();
      missingSince.set(key, since);
      if (now() - since < missingMs) return [];
      const because = `it runs, but no cgroup below ${mount} is its. Give the agent the node's cgroup2 hierarchy; a runtime in a virtual machine has none here`;
      return [{ pod, container, because }];
    });
  };

  const refuse = (found: Refusal[]) => {
    const next = new Map(found.map((refusal) => [keyOf(refusal.pod, refusal.container), refusal]));
    for (const [key, refusal] of next) {
      if (refusals.get(key)?.because !== refusal.because) tell({ kind: 'refused', ...refusal });
    }
    refusals = next;
  };

  const update = () => {
    const facts = known();
    if (!facts) return;
    const pods = [...facts.pods];
    const decision = decide({ ...facts, pods, cgroups, nameOf: names.get });
    apply(decision, pods);
    names.find(
      decision.wanted.flatMap(({ pod, containers }) =>
        containers
          .filter(({ name }) => name === undefined)
          .map(({ cgroup }) => ({ ...cgroup, podUid: pod.cgroupUid })),
      ),
    );
  };

  return {
    update,
    async resolve() {
      try {
        inodes = await tree.list();
        cgroups = podCgroupsOf(inodes);
        names.retain(
          new Set([...cgroups.values()].flatMap(({ containers }) => containers.map(({ id }) => id))),
        );
        update();
        trouble = undefined;
      } catch (error) {
        const sentence = `look for cgroups: ${(error as Error).message}`;
        if (sentence !== trouble) log.warn(sentence);
        trouble = sentence;
      }
      return [...inodes.keys()];
    },
    status: () => ({
      attached: [...attached.keys()],
      notes: [
        ...(trouble === undefined ? [] : [trouble]),
        ...[...refusals.values()].map(
          ({ pod, container, because }) => `not mirroring ${subjectOf(pod, container)}: ${because}`,
        ),
      ],
    }),
    coverage: () => ({
      refused: [...refusals.values()].map(({ pod, container, because }) => ({
        namespace: pod.namespace,
        pod: pod.name,
        ...(container !== undefined && { container }),
        because,
      })),
      rules: new Map([...attached].map(([path, { because }]) => [join(mount, path), because])),
    }),
  };
}

function wantedOf({ wanted }: Decision): Map<string, Wanted> {
  const targets = new Map<string, Wanted>();
  for (const { pod, containers } of wanted) {
    for (const { cgroup, name, because } of containers) {
      if (name === undefined || because === undefined) continue;
      const identity = identityOf(pod, name);
      targets.set(cgroup.path, { inode: cgroup.inode, identity, pod, container: name, because });
    }
  }
  return targets;
}

function identityOf(pod: NodePod, container: string): Identity {
  return {
    name: `${pod.namespace}/${pod.name}/${container}`,
    namespace: pod.namespace,
    pod: pod.name,
    podUid: pod.uid,
    container,
    workload: workloadOf(pod),
  };
}

const isSame = (a: Wanted, b: Wanted): boolean =>
  a.inode === b.inode && a.because === b.because && JSON.stringify(a.identity) === JSON.stringify(b.identity);

const keyOf = ({ uid }: NodePod, container: string | undefined): string => `${uid} ${container ?? ''}`;

const subjectOf = ({ namespace, name }: NodePod, container: string | undefined): string =>
  `${namespace}/${name}${container === undefined ? '' : ` container ${container}`}`;
