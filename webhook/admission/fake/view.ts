// A cluster as tests describe it.
import type { ClusterView, KnownPod } from '../../cluster/view.ts';
import { noFilters, parseFilters } from '../../intent/filters.ts';
import { defaultSettings } from '../../intent/model.ts';

export interface FakeCluster {
  /** Name to the value of wallarm-mirror, or null for none. */
  namespaces?: Record<string, string | null>;
  filters?: string;
  pods?: (Partial<KnownPod> & { namespace: string; name: string })[];
  synced?: boolean;
}

export function fakeView({
  namespaces = { shop: null },
  filters: yaml,
  pods = [],
  synced = true,
}: FakeCluster = {}): ClusterView {
  const settings = defaultSettings('podmirror');
  const facts = new Map(
    Object.entries(namespaces).map(([name, value]) => [
      name,
      { name, labels: value === null ? {} : { [settings.labelKey]: value } },
    ]),
  );
  const { filters, problems } =
    yaml === undefined ? { filters: noFilters, problems: [] } : parseFilters(yaml);
  const known = pods.map((pod) => ({ ...anyPod, ...pod }));
  return {
    settings,
    filters: () => ({ filters: filters ?? noFilters, problems, present: yaml !== undefined }),
    namespace: (name) => facts.get(name),
    namespaces: () => facts.values(),
    pod: (namespace, name) => known.find((pod) => pod.namespace === namespace && pod.name === name),
    pods: () => known,
    intent: () => null,
    synced: () => synced,
  };
}

const anyPod = {
  labels: {},
  annotations: {},
  containers: ['web'],
  ephemeralContainers: [],
  nodeName: undefined,
  uid: 'b6a8d0b2-2b39-4b5e-9d0a-5f9d5a0c3c11',
  owner: undefined,
  phase: 'Running',
};
