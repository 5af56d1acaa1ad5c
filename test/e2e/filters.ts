/** The live filters, written as people write them. */
import { stringify } from 'yaml';
import { type KubeObject, manifest } from '../cluster/manifest.ts';
import type { Kubectl } from '../kube/kubectl.ts';

/** The manual's keys. */
export type Filter = Readonly<Record<string, string | Readonly<Record<string, string>>>>;

export const filtersManifest = (yaml: string): string => {
  const filters: KubeObject = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'podmirror-filters', namespace: 'podmirror' },
    data: { 'filters.yaml': yaml },
  };
  return manifest([filters]);
};

export async function setFilters(kubectl: Kubectl, filters: readonly Filter[]): Promise<void> {
  await kubectl(['apply', '-f', '-'], filtersManifest(stringify({ filters })));
}
