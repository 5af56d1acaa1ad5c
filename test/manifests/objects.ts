// Objects as they are compared: by what they are, and without what only Helm needs.
import { parseAllDocuments } from 'yaml';

export type KubeObject = {
  kind: string;
  metadata: { name: string; namespace?: string; labels?: object; annotations?: object };
} & Record<string, unknown>;

const ofHelm = new Set([
  'app.kubernetes.io/managed-by',
  'helm.sh/chart',
  'checksum/config',
  'podmirror.io/filters-of-values',
]);

/** `kind namespace/name` → object. Texts within ConfigMaps are taken as they are. */
export function objectsOf(yaml: string): Record<string, KubeObject> {
  // kubectl and helm read YAML 1.1, where 0440 is octal.
  const objects = parseAllDocuments(yaml, { version: '1.1' })
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);
  return Object.fromEntries(
    objects.map((object) => [
      `${object.kind} ${object.metadata.namespace ?? ''}/${object.metadata.name}`,
      withoutHelm(object),
    ]),
  ) as Record<string, KubeObject>;
}

/** Empty blocks say nothing either. */
function withoutHelm(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutHelm);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value)
    .filter(([key]) => !ofHelm.has(key))
    .map(([key, inner]) => [key, key === 'caBundle' ? unbroken(inner) : withoutHelm(inner)] as const);
  return Object.fromEntries(entries.filter(([, inner]) => !isEmpty(inner)));
}

/** kustomize breaks long base64 into lines, which says the same. */
const unbroken = (base64: unknown): string => String(base64).replaceAll(/\s/g, '');

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
