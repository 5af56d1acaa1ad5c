// What is told about a pod or a namespace: plain values, as they go over the wire.
import type { ClusterView } from '../cluster/view.ts';
import type { Grant, Verdict } from '../intent/model.ts';

/** The caches of a webhook, or what a command has read once. */
export type ExplainView = ClusterView & {
  /** What is wrong in the ConfigMaps of intent, where that is known. */
  intentProblems?(): string[];
};

export type Explanation = PodExplanation | NamespaceExplanation | Unknown;

export interface PodExplanation {
  kind: 'pod';
  /** False: the first lists are not read yet, so any of this may be wrong. */
  synced: boolean;
  pod: {
    namespace: string;
    name: string;
    phase: string;
    /** null: not scheduled. */
    node: string | null;
    /** "Deployment web". */
    workload: string;
  };
  namespace: NamespaceState;
  filters: FiltersSummary;
  verdict: Verdict;
  containers: ContainerVerdict[];
  /** As computed from what is known now; agents compute it from the `_meta` that `stored` is about. */
  classId: string;
  stored: Stored;
  agent: AgentPlan;
}

export interface NamespaceExplanation {
  kind: 'namespace';
  synced: boolean;
  namespace: NamespaceState;
  filters: FiltersSummary;
  /** Running or about to. */
  pods: number;
  /** Succeeded or failed, and in no class. */
  finished: number;
  /** The largest first. */
  classes: ClassSummary[];
  moreClasses: number;
}

/** There is no such pod or namespace, or it is not known yet. */
export interface Unknown {
  kind: 'unknown';
  synced: boolean;
  /** "there is no pod wbe in namespace shop". */
  because: string;
  /** What was probably meant, as it would be asked for. */
  near: string[];
}

export interface NamespaceState {
  name: string;
  known: boolean;
  /** The label's value; null: none. */
  label: string | null;
  /** "namespace shop has no label wallarm-mirror: annotations of its pods and the filters decide". */
  says: string;
  warning: string | null;
}

export interface FiltersSummary {
  present: boolean;
  /** Not empty: they are refused, and none of them counts. */
  problems: string[];
}

export interface ContainerVerdict {
  name: string;
  ephemeral: boolean;
  mirrored: boolean;
  because: string;
}

/** What stands in the ConfigMap for the class of a pod. */
export interface Stored {
  /** The shard, by name. */
  configMap: string;
  /** By the `_meta` of the ConfigMap, as agents compute it; null: there is none to compute it from. */
  classId: string | null;
  /** Empty: no entry. */
  grants: Grant[];
  /** Agents do what they would do if it were computed anew. */
  agrees: boolean;
  because: string;
}

export interface AgentPlan {
  /** Containers that the agent of the pod's node attaches to. */
  attaches: string[];
  /** For a pod that is on no node yet: what would be attached to where. */
  whenScheduled: { nodes: string[]; containers: string[] }[];
  because: string;
}

export interface ClassSummary {
  id: string;
  pods: number;
  /** The name of one of them. */
  example: string;
  workload: string;
  moreWorkloads: number;
  mirrored: boolean;
  because: string;
  stored: Stored;
}
