// A namespace's label and what it means for the pods in it.
import type { ClusterView } from '../cluster/view.ts';
import { noFilters } from '../intent/filters.ts';
import type { Rule } from '../intent/model.ts';
import { statementsOf } from '../intent/statement.ts';
import { namespaceSwitch, type Switch } from '../intent/switch.ts';
import type { NamespaceState } from './explanation.ts';

export function namespaceState(
  { settings, namespace }: Pick<ClusterView, 'settings' | 'namespace'>,
  name: string,
): NamespaceState {
  const facts = namespace(name);
  const label = facts && namespaceSwitch(facts, settings.labelKey);
  const [decided] = statementsOf(name, { label, annotation: unset, matching: [] }, noFilters, settings);
  const words = decided?.because ?? label?.words ?? '';
  const has = facts !== undefined && Object.hasOwn(facts.labels, settings.labelKey);
  return {
    name,
    known: facts !== undefined,
    label: has ? (facts.labels[settings.labelKey] ?? null) : null,
    says: `${words}: ${meaningOf(decided?.rule, settings.annotationKey)}`,
    warning: label?.warning ?? null,
  };
}

const unset: Switch = { on: undefined, words: '', warning: undefined };

function meaningOf(rule: Rule | undefined, annotationKey: string): string {
  if (rule === undefined) return 'annotations of its pods and the filters decide';
  if (rule === 'namespace-enabled')
    return `its pods are mirrored, but for those annotated ${annotationKey}=false`;
  return 'nothing in it is mirrored';
}
