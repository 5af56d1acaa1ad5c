import type { Intent } from '../intent/document.ts';
import type { Filters, Problem } from '../intent/filters.ts';
import type { NamespaceFacts, PodFacts, Settings } from '../intent/model.ts';

export interface Owner {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
}

/** A pod as the caches keep it: what intent needs, who it belongs to, and nothing else. */
export interface KnownPod extends PodFacts {
  name: string;
  uid: string;
  owner: Owner | undefined;
  phase: string;
}

/** `filters` is never null: a refused ConfigMap counts as no filters at all, and `problems` says so. */
export interface FiltersState {
  filters: Filters;
  problems: Problem[];
  present: boolean;
}

/** Synchronous reads of the caches. */
export interface ClusterView {
  settings: Settings;
  filters(): FiltersState;
  namespace(name: string): NamespaceFacts | undefined;
  namespaces(): Iterable<NamespaceFacts>;
  pod(namespace: string, name: string): KnownPod | undefined;
  pods(): Iterable<KnownPod>;
  /** What the ConfigMap holds now. */
  intent(): Intent | null;
  /** Every first list has been seen. */
  synced(): boolean;
}
