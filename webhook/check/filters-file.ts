// The file that somebody checks: filters.yaml itself, or a manifest with the ConfigMap that holds it.
import { isBlock, valueAt } from '../admission/object.ts';
import { FILTERS_KEY, FILTERS_NAME } from '../cluster/filters.ts';
import { quote } from '../intent/show.ts';
import { objectsOf } from './objects.ts';

export interface FiltersFile {
  /** As the API server would get it. */
  configMap: unknown;
  warnings: string[];
}

/** Throws with what to write when a manifest holds no ConfigMap or several. */
export function readFiltersFile(text: string, { ownNamespace }: { ownNamespace: string }): FiltersFile {
  if (!isManifest(text)) return { configMap: { data: { [FILTERS_KEY]: text } }, warnings: [] };
  const configMaps = objectsOf(text).filter((object) => valueAt(object, ['kind']) === 'ConfigMap');
  const named = configMaps.filter((object) => valueAt(object, ['metadata', 'name']) === FILTERS_NAME);
  const [configMap, ...others] = named.length > 0 ? named : configMaps;
  if (!isBlock(configMap)) {
    throw new Error(
      `it is a manifest without a ConfigMap. Write the ConfigMap ${FILTERS_NAME}, or the filters alone`,
    );
  }
  if (others.length > 0) {
    throw new Error(
      `${others.length + 1} ConfigMaps in it may be meant. Write one, with the name ${FILTERS_NAME}`,
    );
  }
  return { configMap, warnings: placeWarnings(configMap, ownNamespace) };
}

/** No filters have a key `kind`. */
function isManifest(text: string): boolean {
  if (/^\s*\{/.test(text)) return /"kind"\s*:/.test(text);
  return /^(["']?)kind\1\s*:/m.test(text);
}

/** Elsewhere nobody reads it, and nobody would notice. */
function placeWarnings(configMap: unknown, ownNamespace: string): string[] {
  const [name, namespace] = ['name', 'namespace'].map((key) => valueAt(configMap, ['metadata', key]));
  return [
    ...(name === FILTERS_NAME
      ? []
      : [`metadata.name: podmirror does not read ${quote(name)}. Write ${FILTERS_NAME}`]),
    ...(namespace === undefined || namespace === ownNamespace
      ? []
      : [
          `metadata.namespace: podmirror runs in ${ownNamespace}, not in ${quote(namespace)}. Write ${ownNamespace}, or name another with --namespace`,
        ]),
  ];
}
