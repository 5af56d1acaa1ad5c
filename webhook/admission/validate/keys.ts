// Keys that were surely meant to be ours, and ours in places where they mean nothing.
import { show } from '../../intent/show.ts';
import { pathText, textsAt } from '../object.ts';
import { isNearKey } from '../words.ts';

export interface OurKey {
  key: string;
  /** Where it means something, such as `spec.template.metadata.annotations[mirror.wallarm.com/enabled]`. */
  belongs: string;
}

const places = ['labels', 'annotations'] as const;
// Somebody may send an object with a hundred thousand annotations.
const maxKeys = 200;

/** `wallarm-mirrors` among the labels and annotations of the metadata at `path`. */
export function nearKeys(object: unknown, path: readonly string[], { key, belongs }: OurKey): string[] {
  return places.flatMap((place) =>
    [...textsAt(object, [...path, place]).keys()]
      .slice(0, maxKeys)
      .filter((stranger) => isNearKey(stranger, key))
      .map((stranger) => `${pathText([...path, place], show(stranger))} is not known. Write ${belongs}`),
  );
}

/** The key itself, in those of the places where nobody reads it. */
export function strayKeys(
  object: unknown,
  path: readonly string[],
  key: string,
  { where = places, instead }: { where?: readonly (typeof places)[number][]; instead: string },
): string[] {
  return where
    .filter((place) => textsAt(object, [...path, place]).has(key))
    .map((place) => `${pathText([...path, place], key)} has no effect. ${instead}`);
}
