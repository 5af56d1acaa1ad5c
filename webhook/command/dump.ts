// What kubectl wrote to a file, as objects by kind.
import { valueAt } from '../admission/object.ts';
import { objectsOf } from '../check/objects.ts';
import type { ClusterObjects } from './view.ts';

const how = 'Write it with kubectl get namespaces,pods,configmaps -A -o json';

/** Throws with how to write one, when it cannot be a dump of a cluster. */
export function readDump(text: string): { objects: ClusterObjects; notes: string[] } {
  const byKind = Map.groupBy(objectsOf(text), (object) => valueAt(object, ['kind']));
  const [namespaces = [], pods = [], configMaps = []] = ['Namespace', 'Pod', 'ConfigMap'].map((kind) =>
    byKind.get(kind),
  );
  if (namespaces.length === 0) throw new Error(`it holds no namespaces. ${how}`);
  return {
    objects: { namespaces, pods, configMaps },
    notes: [
      ...(pods.length === 0 ? [`it holds no pods. ${how}`] : []),
      ...(configMaps.length === 0 ? [`it holds no ConfigMaps, so its filters are not known. ${how}`] : []),
    ],
  };
}
