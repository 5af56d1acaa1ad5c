// The two switches: a namespace's label and a pod's annotation. A value that is neither on nor off counts as unset.
import type { NamespaceFacts, PodFacts, Settings } from './model.ts';
import { show } from './show.ts';

export interface Switch {
  /** undefined: not set, or set to what nobody knows. */
  on: boolean | undefined;
  /** "namespace shop is labelled wallarm-mirror=enabled", "namespace shop has no label wallarm-mirror". */
  words: string;
  /** When the value is neither on nor off. */
  warning: string | undefined;
}

export function namespaceSwitch(namespace: NamespaceFacts, key: string): Switch {
  const subject = `namespace ${namespace.name}`;
  const value = ownValue(namespace.labels, key);
  if (value === undefined)
    return { on: undefined, words: `${subject} has no label ${key}`, warning: undefined };
  const words = `${subject} is labelled ${key}=${show(value)}`;
  const on = value === 'enabled' ? true : value === 'disabled' ? false : undefined;
  if (on !== undefined) return { on, words, warning: undefined };
  const warning = `${words}, which counts as unset. Write ${remedy(value, 'enabled', 'disabled')}`;
  return { on, words: `${words}, which counts as unset`, warning };
}

export function podSwitch(pod: PodFacts, key: string): Switch {
  const value = ownValue(pod.annotations, key);
  if (value === undefined)
    return { on: undefined, words: `the pod has no annotation ${key}`, warning: undefined };
  const words = `the pod is annotated ${key}=${show(value)}`;
  const on = value === 'true' ? true : value === 'false' ? false : undefined;
  if (on !== undefined) return { on, words, warning: undefined };
  const warning = `${words}, which counts as unset. Write ${remedy(value, '"true"', '"false"')}`;
  return { on, words: `${words}, which counts as unset`, warning };
}

function remedy(value: string, on: string, off: string): string {
  const word = value.slice(0, 20).trim().toLowerCase();
  if (['true', 'yes', 'on', '1', 'enable', 'enabled'].includes(word)) return on;
  if (['false', 'no', 'off', '0', 'disable', 'disabled'].includes(word)) return off;
  return `${on} or ${off}`;
}

/** A switch in the wrong place does nothing, and nobody would notice. */
export function misplacedSwitches(pod: PodFacts, { labelKey, annotationKey }: Settings): string[] {
  const places = new Map([
    [labelKey, 'counts on a namespace only. Label the namespace'],
    [annotationKey, 'counts as an annotation only. Annotate the pod'],
  ]);
  return [...places]
    .filter(([key]) => Object.hasOwn(pod.labels, key))
    .map(([key, advice]) => `the pod has the label ${key}, which ${advice}`);
}

function ownValue(map: Record<string, string>, key: string): string | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}
