// The rules in the order of precedence, each in words.
import { describeFilter, type Filter } from './filter.ts';
import type { Filters } from './filters.ts';
import type { Grant, Rule, Settings } from './model.ts';
import { listed, show } from './show.ts';
import type { Switch } from './switch.ts';

/** What a rule says of this pod; no grants: "no". */
export interface Statement {
  rule: Rule;
  because: string;
  grants: Grant[];
}

// Sentences are read by people; the rest of a thousand filters is told as a number.
export const maxTold = 10;

export interface Asked {
  /** Of the namespace; undefined: not known. */
  label: Switch | undefined;
  /** Of the pod. */
  annotation: Switch;
  matching: Filter[];
}

/** What every rule that speaks of this pod says; the first decides. */
export function statementsOf(name: string, asked: Asked, filters: Filters, settings: Settings): Statement[] {
  const { label, annotation, matching } = asked;
  return [
    ...namespaceStatements(name, label, settings),
    ...switchStatements(label, annotation),
    ...(matching.length > 0 ? [filterStatement(matching)] : []),
    ...(filters.allNamespaces ? [yes('all-namespaces', 'allNamespaces is true in the filters')] : []),
  ];
}

/** When no rule speaks. */
export function nothingAsked({ label, annotation }: Asked, filters: Filters): Statement {
  const filter = filters.items.length > 0 ? 'no filter matches' : 'there are no filters';
  const words = [...(label ? [label.words] : []), annotation.words.replace('the pod has no', 'the pod no')];
  return no('nothing-asked', `nothing asks for it: ${words.join(', ')}, and ${filter}`);
}

const no = (rule: Rule, because: string): Statement => ({ rule, because, grants: [] });
const yes = (rule: Rule, because: string): Statement => {
  return { rule, because, grants: [{ containers: ['*'], nodes: ['*'], because }] };
};

function namespaceStatements(name: string, label: Switch | undefined, settings: Settings): Statement[] {
  const { ownNamespace, excludedNamespaces } = settings;
  const statements: Statement[] = [];
  if (!label) statements.push(no('namespace-unknown', `namespace ${show(name)} is not known yet`));
  if (name === ownNamespace) {
    statements.push(no('namespace-excluded', `namespace ${name} is podmirror's own and never mirrored`));
  } else if (excludedNamespaces.includes(name)) {
    statements.push(no('namespace-excluded', `namespace ${name} is excluded in podmirror's settings`));
  }
  return statements;
}

function switchStatements(label: Switch | undefined, annotation: Switch): Statement[] {
  const statements: Statement[] = [];
  if (label?.on === false) statements.push(no('namespace-disabled', label.words));
  if (annotation.on === false) statements.push(no('pod-disabled', annotation.words));
  if (annotation.on === true) statements.push(yes('pod-enabled', annotation.words));
  if (label?.on === true) statements.push(yes('namespace-enabled', label.words));
  return statements;
}

function filterStatement(matching: Filter[]): Statement {
  const grants = matching.map((filter) => ({
    containers: filter.containerName?.alternatives ?? ['*'],
    nodes: filter.nodeName?.alternatives ?? ['*'],
    because: describeFilter(filter),
  }));
  return { rule: 'filter', because: listed(matching.map(describeFilter), maxTold), grants };
}
