// A namespace is created or changed: is its label one that means something?
import type { ClusterView } from '../../cluster/view.ts';
import { listed, quote } from '../../intent/show.ts';
import { allowedWith, type Decision } from '../decision.ts';
import { pathText, textsAt, valueAt } from '../object.ts';
import type { AdmissionRequest } from '../review.ts';
import { meantBy } from '../words.ts';
import { isAbout } from './filter-keys.ts';
import { nearKeys, strayKeys } from './keys.ts';

const words = ['enabled', 'disabled'] as const;
const metadata = ['metadata'];
const labels = ['metadata', 'labels'];

export type NamespaceView = Pick<ClusterView, 'settings' | 'filters'>;

/** Never refuses: a label with another value counts as none. */
export function validateNamespace({ object, name }: AdmissionRequest, view: NamespaceView): Decision {
  const { labelKey, annotationKey } = view.settings;
  const place = pathText(labels, labelKey);
  const value = textsAt(object, labels).get(labelKey);
  return allowedWith([
    ...(value === undefined ? [] : valueWarnings(place, value)),
    ...(value === 'enabled' ? enabledWarnings(place, nameOf(object, name), view) : []),
    ...nearKeys(object, metadata, { key: labelKey, belongs: place }),
    ...strayKeys(object, metadata, labelKey, { where: ['annotations'], instead: `Write ${place}` }),
    ...strayKeys(object, metadata, annotationKey, {
      instead: `It is for pods. Label the namespace ${labelKey}: enabled`,
    }),
  ]);
}

function nameOf(object: unknown, name: string): string {
  const own = valueAt(object, ['metadata', 'name']);
  return name === '' && typeof own === 'string' ? own : name;
}

function valueWarnings(place: string, value: string): string[] {
  if (words.some((word) => word === value)) return [];
  const meant = meantBy(value, words);
  const instead = meant === undefined ? `Write ${words.join(' or ')}, or remove the label` : `Write ${meant}`;
  return [`${place}: value ${quote(value)} is not ${words.join('|')}, so it counts as unset. ${instead}`];
}

function enabledWarnings(place: string, name: string, { settings, filters }: NamespaceView): string[] {
  if (name === settings.ownNamespace || settings.excludedNamespaces.includes(name)) {
    return [`${place} has no effect: namespace ${name} is never mirrored. Remove the label`];
  }
  const moot = filters().filters.items.filter((filter) => isAbout(filter, name));
  if (moot.length === 0) return [];
  const which = listed(
    moot.map((filter) => `filter ${filter.number}`),
    3,
  );
  return [
    `${place}: enabled mirrors all containers of all pods in ${name}, so ${which} of podmirror-filters chooses nothing there any more. Remove the label if the filter is meant to choose`,
  ];
}
