// The shape of filters.yaml. Every problem at once, each with the place, the value and what to write.
import type { Filter, KeyPattern } from './filter.ts';
import { intentAnnotation } from './model.ts';
import { nearest } from './near-miss.ts';
import { readPattern } from './pattern-value.ts';
import { type Block, below, isBlock, type Place, refuse } from './place.ts';
import type { Problem } from './problem.ts';
import { quote } from './show.ts';

export const maxFilters = 1000;
const maxKeys = 32;

export interface FilterDocument {
  allNamespaces: boolean;
  items: Filter[];
}

const documentKeys = ['allNamespaces', 'filters'];
const itemKeys = ['namespace', 'pod_labels', 'pod_annotations', 'pod_name', 'container_name', 'node_name'];
const anItem = "- namespace: 'shop-*'";

/** Of no use unless no problems were added to `problems`. An empty document is no filters. */
export function readFilterDocument(value: unknown, problems: Problem[]): FilterDocument {
  const nothing: FilterDocument = { allNamespaces: false, items: [] };
  const root = { value, path: [], problems };
  if (value === null) return nothing;
  if (!isBlock(value)) {
    refuse(
      root,
      `${quote(value)} is no block of keys`,
      'Write allNamespaces: and filters: at the left margin',
    );
    return nothing;
  }
  refuseUnknownKeys(root, value, documentKeys);
  return {
    allNamespaces: readAllNamespaces(below(root, 'allNamespaces')),
    items: readItems(below(root, 'filters')),
  };
}

function readAllNamespaces(place: Place): boolean {
  const { value } = place;
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  const meant = typeof value === 'string' && /^(true|false)$/i.test(value.trim());
  if (value === null) refuse(place, 'nothing follows the colon', 'Write true or false, or leave the key out');
  else if (meant)
    refuse(place, `${quote(value)} is text`, `Write ${value.trim().toLowerCase()} without quotes`);
  else refuse(place, `${quote(value)} is neither true nor false`, 'Write true or false without quotes');
  return false;
}

function readItems(place: Place): Filter[] {
  const { value } = place;
  if (value === undefined) return [];
  if (value === null)
    refuse(place, 'nothing follows the colon', 'Write filters: [] for none, or leave the key out');
  else if (!Array.isArray(value)) {
    const instead = isBlock(value)
      ? `Write a dash before each filter, such as ${anItem}`
      : `Write a list, such as ${anItem}`;
    refuse(place, `${quote(value)} is no list`, instead);
  } else if (value.length > maxFilters) {
    const wrong = `it lists ${value.length} filters, and ${maxFilters} are the most`;
    refuse(place, wrong, 'Join filters: values take lists such as shop,bank and patterns such as shop-*');
  } else return value.map((_, index) => readItem(below(place, index), index + 1));
  return [];
}

function readItem(place: Place, number: number): Filter {
  const { value } = place;
  if (!isBlock(value))
    refuse(place, `${quote(value)} is no filter`, `Write keys and patterns, such as ${anItem}`);
  else if (Object.keys(value).length === 0) {
    refuse(
      place,
      '{} names nothing',
      `Write at least one key, such as ${anItem}, or allNamespaces: true for everything`,
    );
  } else refuseUnknownKeys(place, value, itemKeys);
  return {
    number,
    namespace: readPattern(below(place, 'namespace')),
    podLabels: readKeyPatterns(below(place, 'pod_labels'), 'label'),
    podAnnotations: readKeyPatterns(below(place, 'pod_annotations'), 'annotation'),
    podName: readPattern(below(place, 'pod_name')),
    containerName: readPattern(below(place, 'container_name')),
    nodeName: readPattern(below(place, 'node_name')),
  };
}

function readKeyPatterns(place: Place, kind: 'label' | 'annotation'): KeyPattern[] {
  const { value } = place;
  const example = kind === 'label' ? 'team: backend' : 'example.com/team: backend';
  if (value === undefined) return [];
  if (!isBlock(value)) {
    const wrong = value === null ? 'nothing follows the colon' : `${quote(value)} is no block of keys`;
    refuse(place, wrong, `Write ${kind}s with patterns beneath it, such as ${example}`);
    return [];
  }
  const keys = Object.keys(value).sort();
  if (keys.length === 0)
    refuse(place, `{} names no ${kind}`, `Write ${kind}s with patterns, such as ${example}`);
  if (keys.length > maxKeys) {
    refuse(place, `it names ${keys.length} ${kind}s, and ${maxKeys} are the most`, 'Write fewer');
    return [];
  }
  return keys.flatMap((key) => {
    const inner = below(place, key);
    if (!qualifiedName.test(key)) {
      refuse(
        inner,
        `no ${kind} can have this key`,
        'Write a plain key such as team or app.kubernetes.io/name; patterns belong in the value',
      );
    }
    if (kind === 'annotation' && key === intentAnnotation) {
      refuse(
        inner,
        'podmirror itself writes this annotation, after the filters were read',
        'Write a label or another annotation of the pods',
      );
    }
    const pattern = readPattern(inner);
    return pattern ? [[key, pattern] as const] : [];
  });
}

// Prefix and name of a Kubernetes label; annotation keys have the same syntax, but their prefix may be upper case.
const qualifiedName =
  /^([A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?\/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?$/;

export function isQualifiedName(key: string): boolean {
  return qualifiedName.test(key);
}

function refuseUnknownKeys(place: Place, value: Block, known: string[]): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) refuse(below(place, key), 'no such key', remedyFor(key, known));
  }
}

function remedyFor(key: string, known: string[]): string {
  if (known === documentKeys && itemKeys.includes(key))
    return `Write it in an item of filters:, such as ${anItem}`;
  if (known === itemKeys && key === 'allNamespaces')
    return 'Write allNamespaces: at the left margin, beside filters:';
  const near = nearest(key, known);
  if (near !== undefined) return `Write ${near}`;
  return `Write one of ${known.join(', ')}`;
}
