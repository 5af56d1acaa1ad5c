// From what is known of the cluster to the whole intent that should stand in the ConfigMap.
import type { ClusterView, KnownPod } from '../cluster/view.ts';
import { classOf, type Meta, metaOf } from '../intent/class.ts';
import type { Filters } from '../intent/filters.ts';
import type { Grant, NamespaceFacts, Settings, Verdict } from '../intent/model.ts';
import { resolveIntent } from '../intent/resolve.ts';
import { atOnce, SLICE } from './slices.ts';

export type Snapshot = Pick<ClusterView, 'settings' | 'filters' | 'namespace' | 'pods'>;

export interface Desired {
  /** Classes that are mirrored. */
  classes: Map<string, Grant[]>;
  /** Ids of all classes that have pods, mirrored or not. */
  alive: Set<string>;
  /** Two kinds of pods that share an id by chance: nothing is written for either, rather than the wrong thing. */
  conflicts: Conflict[];
  /** undefined for pods that are finished, or that came after this was computed. */
  verdictOf(pod: KnownPod): Verdict | undefined;
}

export interface Conflict {
  id: string;
  /** namespace/name of one of each kind. */
  pods: string[];
}

export const isFinished = ({ phase }: Pick<KnownPod, 'phase'>): boolean =>
  phase === 'Succeeded' || phase === 'Failed';

/** Computed anew, with nothing remembered. */
export const desiredOf = (view: Snapshot): Desired => atOnce(createDesired()(view));

/** Pods that resolve alike: one class, and the few things besides the class that a verdict looks at. */
interface Group {
  key: string;
  id: string;
  descriptor: string;
  pod: KnownPod;
  pass: number;
  namespace: NamespaceFacts | undefined;
  filters: Filters | undefined;
  verdict: Verdict | undefined;
}

/**
 * A computation that remembers: the group of each pod object and the verdict of each group. So a pass over 10,000
 * unchanged pods is 10,000 look-ups, and a namespace's label is resolved once for each of its classes. It yields now and
 * then; what changes meanwhile may be in it or not.
 */
export function createDesired(): (view: Snapshot) => Generator<void, Desired> {
  let pass = 0;
  let keys = '';
  let groupOfPod = new WeakMap<KnownPod, Group>();
  const groups = new Map<string, Group>();

  const groupOf = (pod: KnownPod, meta: Meta, settings: Settings): Group => {
    const known = groupOfPod.get(pod);
    if (known && groups.get(known.key) === known) return known;
    const found = classOf(pod, meta);
    // Pods that exist have names, without which alone there is no class.
    if (!found) throw new Error(`pod ${pod.namespace}/${pod.name} has no class`);
    const key = `${found.descriptor}${besides(pod, settings)}`;
    let group = groups.get(key);
    if (!group) {
      group = { key, ...found, pod, pass: 0, namespace: undefined, filters: undefined, verdict: undefined };
      groups.set(key, group);
    }
    groupOfPod.set(pod, group);
    return group;
  };

  return function* (view) {
    pass += 1;
    const { settings } = view;
    const { filters } = view.filters();
    const meta = metaOf(filters, settings);
    const keysNow = JSON.stringify([keysOf(meta), settings]);
    if (keys !== keysNow) {
      keys = keysNow;
      groupOfPod = new WeakMap();
      groups.clear();
    }

    const classes = new Map<string, Group[]>();
    // Of this pass: groups go on to the next one while somebody still asks about this one.
    const verdicts = new Map<Group, Verdict>();
    const groupsOfPods = groupOfPod;
    let seen = 0;
    for (const pod of view.pods()) {
      if (++seen % SLICE === 0) yield;
      if (isFinished(pod)) continue;
      const group = groupOf(pod, meta, settings);
      if (group.pass === pass) continue;
      group.pass = pass;
      const namespace = view.namespace(pod.namespace);
      if (!group.verdict || group.namespace !== namespace || group.filters !== filters) {
        group.verdict = resolveIntent({ pod, namespace, filters, settings });
        Object.assign(group, { pod, namespace, filters });
      }
      verdicts.set(group, group.verdict);
      const together = classes.get(group.id);
      if (together) together.push(group);
      else classes.set(group.id, [group]);
    }
    for (const [key, group] of groups) if (group.pass !== pass) groups.delete(key);

    return {
      ...joined(classes, verdicts),
      verdictOf(pod) {
        const group = groupsOfPods.get(pod);
        return group && !isFinished(pod) ? verdicts.get(group) : undefined;
      },
    };
  };
}

/** What a verdict looks at and a class id leaves out. The node only takes part in what is told, not in what is granted. */
function besides(pod: KnownPod, { labelKey, annotationKey }: Settings): string {
  const misplaced = [labelKey, annotationKey].map((key) => Object.hasOwn(pod.labels, key));
  if (pod.ephemeralContainers.length === 0 && !misplaced.includes(true)) return '';
  return JSON.stringify([misplaced, pod.ephemeralContainers.toSorted()]);
}

function joined(
  classes: Map<string, Group[]>,
  verdicts: Map<Group, Verdict>,
): Pick<Desired, 'classes' | 'alive' | 'conflicts'> {
  const mirrored = new Map<string, Grant[]>();
  const conflicts: Conflict[] = [];
  for (const [id, groups] of classes) {
    if (groups.some(({ descriptor }) => descriptor !== groups[0]?.descriptor)) {
      const oneOfEach = new Map(
        groups.map(({ descriptor, pod }) => [descriptor, `${pod.namespace}/${pod.name}`]),
      );
      conflicts.push({ id, pods: [...oneOfEach.values()].sort() });
      continue;
    }
    const grants = unionOf(groups, verdicts);
    if (grants.length > 0) mirrored.set(id, grants);
  }
  return { classes: mirrored, alive: new Set(classes.keys()), conflicts };
}

/** In an order that does not depend on which pod came first. */
function unionOf(groups: Group[], verdicts: Map<Group, Verdict>): Grant[] {
  const [first] = groups;
  if (first && groups.length === 1) return verdicts.get(first)?.grants ?? [];
  const union = new Map<string, Grant>();
  for (const group of groups.toSorted((a, b) => (a.key < b.key ? -1 : 1))) {
    for (const grant of verdicts.get(group)?.grants ?? []) union.set(JSON.stringify(grant), grant);
  }
  return [...union.values()];
}

/** What class ids are made of: equal for two metas whose ids mean the same. */
export const keysOf = ({ version, labelKeys, annotationKeys, namePatterns }: Meta): string =>
  JSON.stringify([version, labelKeys, annotationKeys, namePatterns]);
