// Keeps the addon's targets equal to what the cluster asks of this node now.
import { join } from 'node:path';
import type { Capture, CaptureErrorCode, Identity } from '../../bpf/index.d.ts';
import { saysTheSame } from '../../webhook/intent/filter.ts';
import type { CgroupTree } from '../cgroups.ts';
import type { Log } from '../log.ts';
import type { Targets } from '../targets.ts';
import { type Decision, decide, type NodeFacts, type Refusal } from './decide.ts';
import type { ContainerNames } from './names.ts';
import type { NodePod } from './pod.ts';
import { type PodCgroup, podCgroupsOf } from './pod-cgroups.ts';
import { lineOf, type Saying } from './saying.ts';
import { workloadOf } from './workload.ts';

export interface ClusterTargets extends Targets {
  /** Decides again from what is known, without a look at the machine. Never throws. */
  update(): void;
  /** These cgroups came or went: decides again with what is at these places now. Never throws. */
  notice(paths: readonly string[]): void;
  coverage(): {
    /** By the absolute path of the cgroup, as the addon names it. */
    rules: Map<string, string>;
    refused: { namespace: string; pod: string; container?: string; because: string }[];
  };
}

/**
 * The pod's cgroup has the probes: it is there before any container, so that nothing of them is missed. Its containers are
 * named or excluded as soon as it is known which one is which.
 */
type Wanted = { inode: number; pod: NodePod } & (
  | { kind: 'pod'; identity: Identity }
  | { kind: 'container'; identity: Identity; container: string; because: string; within: string }
  | { kind: 'excluded'; container: string; within: string }
);

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
  capture: Pick<Capture, 'select' | 'exclude' | 'release'>;
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
  let inodes = new Map<string, number>();
  let trouble: string | undefined;

  /** Gives what went wrong. */
  const attach = (path: string, wanted: Wanted): Refusal | undefined => {
    const cgroup = join(mount, path);
    try {
      if (wanted.kind === 'excluded') capture.exclude(cgroup);
      else capture.select({ cgroup, identity: wanted.identity, perChild: wanted.kind === 'pod' });
    } catch (error) {
      const { code, message } = error as Error & { code?: CaptureErrorCode };
      // Gone between the look and the call: the next look sees it so.
      if (code === 'NOT_FOUND') return undefined;
      return { pod: wanted.pod, container: containerOf(wanted), because: message, isProblem: true };
    }
    keep(path, wanted);
    return undefined;
  };

  const keep = (path: string, wanted: Wanted) => {
    const before = attached.get(path);
    attached.set(path, wanted);
    if (wanted.kind !== 'container') return;
    if (before?.kind === 'container' && saysTheSame(before.because, wanted.because)) return;
    const { pod, container, because } = wanted;
    tell({ kind: 'mirroring', pod, container, because, isProblem: false, isOver: false });
  };

  const tell = (saying: Saying) => {
    log[saying.isProblem ? 'warn' : 'info'](lineOf(saying));
    say(saying);
  };

  const tellReleased = (target: Wanted, { because, isOver }: Pick<Saying, 'because' | 'isOver'>) => {
    if (target.kind !== 'container') return;
    const { pod, container } = target;
    tell({ kind: 'released', pod, container, because, isProblem: false, isOver });
  };

  const apply = (decision: Decision, pods: readonly NodePod[]) => {
    const wanted = wantedOf(decision);
    const why = (path: string, target: Wanted) => whyReleased(path, target, pods, decision);
    release(wanted, why);
    const failed = new Map<string, Refusal>();
    for (const [path, target] of wanted) {
      const before = attached.get(path);
      if (before && isSame(before, target)) {
        keep(path, target);
        continue;
      }
      // Where a pod's cgroup was refused, its containers are too: probes on them would say nothing new.
      if ('within' in target && !attached.has(target.within)) continue;
      const refusal = attach(path, target);
      if (refusal) failed.set(path, refusal);
      if (target.kind === 'excluded' && before) tellReleased(before, why(path, before));
    }
    refuse([...decision.refused, ...failed.values(), ...overdue(decision)]);
  };

  /** What is wanted no more; pods first, for they take their containers along. */
  const release = (
    wanted: ReadonlyMap<string, Wanted>,
    why: (path: string, target: Wanted) => Pick<Saying, 'because' | 'isOver'>,
  ) => {
    const isGone = ([path, target]: [string, Wanted]) => wanted.get(path)?.inode !== target.inode;
    const gone = [...attached].filter(isGone).sort(([a], [b]) => a.length - b.length);
    const toTell = gone.map(([path, target]) => ({ target, reason: why(path, target) }));
    for (const [path] of gone) {
      capture.release(join(mount, path));
      attached.delete(path);
    }
    for (const { target, reason } of toTell) tellReleased(target, reason);
  };

  const whyReleased = (
    path: string,
    target: Wanted,
    pods: readonly NodePod[],
    { refused }: Decision,
  ): Pick<Saying, 'because' | 'isOver'> => {
    const now = pods.find(({ uid }) => uid === target.pod.uid);
    if (!now) return { because: 'the pod is gone', isOver: true };
    if (!inodes.has(path)) return { because: 'its container ended', isOver: true };
    if (now.completed) return { because: 'the pod has completed', isOver: true };
    const refusal = refused.find(
      (one) => one.pod.uid === now.uid && [undefined, containerOf(target)].includes(one.container),
    );
    return { because: refusal?.because ?? 'nothing asks for it any more', isOver: false };
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
      return [{ pod, container, because, isProblem: true }];
    });
  };

  const refuse = (found: Refusal[]) => {
    const next = new Map(found.map((refusal) => [keyOf(refusal.pod, refusal.container), refusal]));
    for (const [key, refusal] of next) {
      const before = refusals.get(key);
      if (!before || !saysTheSame(before.because, refusal.because))
        tell({ kind: 'refused', ...refusal, isOver: false });
    }
    refusals = next;
  };

  const update = () => {
    const facts = known();
    if (!facts) return;
    const pods = [...facts.pods];
    // A container that has ended is named by no status any more, and may still have answers under way.
    for (const { statuses } of pods) for (const { id, name } of statuses) names.learn(id, name);
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

  let noticed: string[] = [];
  const withNoticed = (before: Map<string, number>, paths: readonly string[]) => {
    const next = new Map(before);
    for (const path of paths) {
      for (const other of next.keys()) {
        if (other === path || other.startsWith(`${path}/`)) next.delete(other);
      }
      for (const [other, inode] of tree.below(path)) next.set(other, inode);
    }
    return next;
  };

  const see = (next: Map<string, number>) => {
    inodes = next;
    cgroups = podCgroupsOf(inodes);
    update();
  };

  return {
    update,
    notice(paths) {
      noticed.push(...paths);
      try {
        see(withNoticed(inodes, paths));
      } catch (error) {
        log.warn(`look at cgroups ${paths.join(', ')}: ${(error as Error).message}`);
      }
    },
    async resolve() {
      try {
        noticed = [];
        const list = await tree.list();
        // What came or went meanwhile may or may not be in the list.
        see(withNoticed(list, noticed));
        names.retain(
          new Set([...cgroups.values()].flatMap(({ containers }) => containers.map(({ id }) => id))),
        );
        trouble = undefined;
      } catch (error) {
        const sentence = `look for cgroups: ${(error as Error).message}`;
        if (sentence !== trouble) log.warn(sentence);
        trouble = sentence;
      }
      return [...inodes.keys()];
    },
    status: () => ({
      attached: [...attached].flatMap(([path, { kind }]) => (kind === 'container' ? [path] : [])),
      notes: [
        ...(trouble === undefined ? [] : [trouble]),
        ...[...refusals.values()].flatMap((refusal) =>
          refusal.isProblem ? [lineOf({ kind: 'refused', ...refusal })] : [],
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
      rules: new Map(
        [...attached].flatMap(([path, target]) =>
          target.kind === 'container' ? [[join(mount, path), target.because]] : [],
        ),
      ),
    }),
  };
}

/** By path, a pod before its containers. */
function wantedOf({ wanted }: Decision): Map<string, Wanted> {
  const targets = new Map<string, Wanted>();
  for (const { pod, cgroup: within, containers } of wanted) {
    targets.set(within.path, { kind: 'pod', inode: within.inode, pod, identity: identityOf(pod) });
    for (const { cgroup, name, because } of containers) {
      if (name === undefined) continue;
      const common = { inode: cgroup.inode, pod, container: name, within: within.path };
      targets.set(
        cgroup.path,
        because === undefined
          ? { kind: 'excluded', ...common }
          : { kind: 'container', identity: identityOf(pod, name), because, ...common },
      );
    }
  }
  return targets;
}

function identityOf(pod: NodePod, container?: string): Identity {
  return {
    name: [pod.namespace, pod.name, ...(container === undefined ? [] : [container])].join('/'),
    namespace: pod.namespace,
    pod: pod.name,
    podUid: pod.uid,
    ...(container !== undefined && { container }),
    workload: workloadOf(pod),
  };
}

const containerOf = (target: Wanted): string | undefined =>
  target.kind === 'pod' ? undefined : target.container;

/** To the addon, which hears of no rule. */
const isSame = (a: Wanted, b: Wanted): boolean => asSelected(a) === asSelected(b);

function asSelected(target: Wanted): string {
  const { kind, inode } = target;
  return JSON.stringify([kind, inode, kind === 'excluded' ? undefined : target.identity]);
}

const keyOf = ({ uid }: NodePod, container: string | undefined): string => `${uid} ${container ?? ''}`;
