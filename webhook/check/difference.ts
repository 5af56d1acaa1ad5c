// What would change in a cluster if it had other filters: by workload, since nobody reads 10,000 pods.
import type { ClusterView, KnownPod } from '../cluster/view.ts';
import { desiredOf, isFinished } from '../controller/desired.ts';
import { workloadKeyOf } from '../controller/owner.ts';
import type { Filters } from '../intent/filters.ts';
import type { Verdict } from '../intent/model.ts';
import { type Mirrored, mirroredOf } from './mirrored.ts';

/** In the order in which they are told. */
export const kinds = [
  'newly mirrored',
  'not mirrored any more',
  'other containers',
  // Of containers that are mirrored where the pod is now: it matters when it moves.
  'other nodes',
] as const;
export type Kind = (typeof kinds)[number];

export interface Change {
  kind: Kind;
  /** shop/Deployment/web */
  workload: string;
  /** How many of its pods change in this way. */
  pods: number;
  /** The name of one of them. */
  example: string;
  before: Mirrored;
  after: Mirrored;
  /** What decides afterwards. */
  because: string;
}

export interface Difference {
  changes: Change[];
  moreChanges: number;
  /** Pods that run or are about to. `mirrored`: with a container that an agent attaches to. */
  pods: { changed: number; unchanged: number; mirroredBefore: number; mirroredAfter: number };
}

type View = Pick<ClusterView, 'settings' | 'filters' | 'namespace' | 'pods'>;

const maxChanges = 200;

export function differenceOf(view: View, filters: Filters): Difference {
  const [before, after] = [verdictsWith(view, view.filters().filters), verdictsWith(view, filters)];
  const changes = new Map<string, Change>();
  const pods = { changed: 0, unchanged: 0, mirroredBefore: 0, mirroredAfter: 0 };
  for (const pod of sorted(view.pods())) {
    const verdict = after(pod);
    const [was, is] = [before(pod), verdict].map(({ grants }) => mirroredOf(pod, grants)) as [
      Mirrored,
      Mirrored,
    ];
    if (was.here.length > 0) pods.mirroredBefore += 1;
    if (is.here.length > 0) pods.mirroredAfter += 1;
    const kind = kindOf(was, is);
    if (kind === undefined) pods.unchanged += 1;
    else {
      pods.changed += 1;
      add(changes, { kind, pod, before: was, after: is, because: verdict.because });
    }
  }
  const told = [...changes.values()].sort(
    (a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || compare(a.workload, b.workload),
  );
  return {
    changes: told.slice(0, maxChanges),
    moreChanges: Math.max(0, told.length - maxChanges),
    pods,
  };
}

/** As the controller would decide. */
function verdictsWith(view: View, filters: Filters): (pod: KnownPod) => Verdict {
  const { settings, namespace, pods } = view;
  const { verdictOf } = desiredOf({
    settings,
    namespace,
    pods,
    filters: () => ({ filters, problems: [], present: true }),
  });
  return (pod) => {
    const verdict = verdictOf(pod);
    if (!verdict) throw new Error(`pod ${pod.namespace}/${pod.name} has no verdict`);
    return verdict;
  };
}

/** By namespace and name, so that examples and order do not depend on how the pods were read. */
function sorted(pods: Iterable<KnownPod>): KnownPod[] {
  return [...pods]
    .filter((pod) => !isFinished(pod))
    .sort((a, b) => compare(a.namespace, b.namespace) || compare(a.name, b.name));
}

function kindOf(before: Mirrored, after: Mirrored): Kind | undefined {
  if (isEqual(before.here, after.here)) return isEqual(before.nodes, after.nodes) ? undefined : 'other nodes';
  if (before.here.length === 0) return 'newly mirrored';
  return after.here.length === 0 ? 'not mirrored any more' : 'other containers';
}

function add(
  changes: Map<string, Change>,
  { pod, kind, ...how }: Pick<Change, 'kind' | 'before' | 'after' | 'because'> & { pod: KnownPod },
): void {
  const workload = workloadKeyOf(pod);
  const key = JSON.stringify([kind, workload, how]);
  const known = changes.get(key);
  if (known) known.pods += 1;
  else changes.set(key, { kind, workload, pods: 1, example: pod.name, ...how });
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const isEqual = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
