// A cluster as it was at one time, from objects as the API server gives them: listed just now, or dumped to a file.
import { valueAt } from '../admission/object.ts';
import { type ConfigMap, configMapOf } from '../cluster/configmap.ts';
import { FILTERS_NAME, filtersStateOf } from '../cluster/filters.ts';
import { createInterner } from '../cluster/intern.ts';
import { namespaceOf } from '../cluster/namespaces.ts';
import { knownPodOf } from '../cluster/pod.ts';
import type { KnownPod } from '../cluster/view.ts';
import type { ExplainView } from '../explain/explanation.ts';
import { decodeIntent, INTENT_NAME, MAX_SHARDS, shardName } from '../intent/document.ts';
import type { Settings } from '../intent/model.ts';

export interface ClusterObjects {
  namespaces: unknown[];
  pods: unknown[];
  /** Of any namespace; podmirror's own count. */
  configMaps: unknown[];
}

/** `notes`: what was left out, because it is not what it should be. */
export function viewOf(objects: ClusterObjects, settings: Settings): { view: ExplainView; notes: string[] } {
  const notes: string[] = [];
  const namespaces = new Map(
    readAll('namespace', objects.namespaces, namespaceOf, notes).map((facts) => [facts.name, facts]),
  );
  const pods = podsByName(readAll('pod', objects.pods, knownPodOf, notes));
  const own = objects.configMaps.filter(
    (object) => valueAt(object, ['metadata', 'namespace']) === settings.ownNamespace,
  );
  const configMaps = new Map(
    readAll('ConfigMap', own, configMapOf, notes).map((configMap) => [configMap.name, configMap]),
  );
  const filters = filtersStateOf(configMaps.get(FILTERS_NAME));
  const { intent, problems } = intentOf(configMaps, settings);
  const view: ExplainView = {
    settings,
    filters: () => filters,
    namespace: (name) => namespaces.get(name),
    namespaces: () => namespaces.values(),
    pod: (namespace, name) => pods.get(`${namespace}/${name}`),
    pods: () => pods.values(),
    intent: () => intent,
    intentProblems: () => problems,
    synced: () => true,
  };
  return { view, notes };
}

/** One odd object hides no others. */
function readAll<T>(kind: string, objects: unknown[], read: (object: unknown) => T, notes: string[]): T[] {
  let leftOut = 0;
  let why = '';
  const known = objects.flatMap((object) => {
    try {
      return [read(object)];
    } catch (error) {
      leftOut += 1;
      why ||= (error as Error).message.replaceAll(/\s+/g, ' ').slice(0, 200);
      return [];
    }
  });
  if (leftOut > 0) notes.push(`${leftOut} ${kind}${leftOut === 1 ? ' is' : 's are'} left out: ${why}`);
  return known;
}

/** Equal labels and annotations are one object, by which the filters' warnings tell replicas. */
function podsByName(pods: KnownPod[]): Map<string, KnownPod> {
  const intern = createInterner();
  return new Map(
    pods.map((pod) => [
      `${pod.namespace}/${pod.name}`,
      { ...pod, labels: intern.record(pod.labels), annotations: intern.record(pod.annotations) },
    ]),
  );
}

function intentOf(
  configMaps: Map<string, ConfigMap>,
  { ownNamespace }: Settings,
): ReturnType<typeof decodeIntent> {
  if (!configMaps.has(INTENT_NAME)) {
    const why = `${INTENT_NAME} is not there in namespace ${ownNamespace}`;
    return { intent: null, problems: [`${why}. If podmirror runs in another, write --namespace`] };
  }
  const shards = Array.from({ length: MAX_SHARDS }, (_, index) => configMaps.get(shardName(index))?.data);
  return decodeIntent(shards.slice(0, shards.findLastIndex((data) => data !== undefined) + 1));
}
