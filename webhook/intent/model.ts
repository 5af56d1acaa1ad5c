// The words of intent: what is known of a pod, and what was decided about it.

/** On pods: tells people what was decided when the pod was created. Nothing reads it, and no filter may. */
export const intentAnnotation = 'podmirror.io/intent';

export interface NamespaceFacts {
  name: string;
  labels: Record<string, string>;
}

export interface PodFacts {
  namespace: string;
  /** undefined: generateName at mutation, the name is not chosen yet. */
  name: string | undefined;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  /** spec.initContainers (sidecars among them) and spec.containers, by name. */
  containers: string[];
  /** They may appear while the pod runs, so they take no part in the class id. */
  ephemeralContainers: string[];
  /** undefined until the pod is scheduled. */
  nodeName: string | undefined;
}

export interface Settings {
  labelKey: string;
  annotationKey: string;
  ownNamespace: string;
  /** Plain names. */
  excludedNamespaces: string[];
}

export const defaultSettings = (ownNamespace: string): Settings => ({
  labelKey: 'wallarm-mirror',
  annotationKey: 'mirror.wallarm.com/enabled',
  ownNamespace,
  excludedNamespaces: ['kube-system'],
});

/** In the order of precedence: the first that speaks decides. */
export type Rule =
  | 'namespace-unknown'
  | 'namespace-excluded'
  | 'namespace-disabled'
  | 'pod-disabled'
  | 'pod-enabled'
  | 'namespace-enabled'
  | 'filter'
  | 'all-namespaces'
  | 'nothing-asked';

/** One rule that says yes. Patterns, applied by the agent to container names and to its node's name. */
export interface Grant {
  containers: string[];
  nodes: string[];
  because: string;
}

/** `because` is a sentence in words: "namespace shop is labelled wallarm-mirror=disabled". */
export interface Reason {
  rule: Rule;
  because: string;
}

export interface Verdict {
  /** Whether the pod's class has grants; a grant may still name another node than the pod's. */
  mirrored: boolean;
  /** The rule that decided, and why, in words. */
  rule: Rule;
  because: string;
  /** Empty when not mirrored. */
  grants: Grant[];
  /** Rules that would have said something else, and filters that nearly matched: why they did not decide. */
  lost: Reason[];
  /** What is legal but surely not meant. */
  warnings: string[];
}

export { grantedContainers } from './grant.ts';
