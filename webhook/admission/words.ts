// What somebody probably meant who wrote another word than ours.
import { nearest } from '../intent/near-miss.ts';

const yes = ['true', 'yes', 'on', 'y', '1', 'enable', 'enabled'];
const no = ['false', 'no', 'off', 'n', '0', 'disable', 'disabled'];

/** One of the two words that count, or undefined when there is no telling. */
export function meantBy<Word extends string>(
  value: string,
  [on, off]: readonly [Word, Word],
): Word | undefined {
  const word = value.trim().toLowerCase();
  if (yes.includes(word)) return on;
  if (no.includes(word)) return off;
  return [on, off].find((known) => known === nearest(word, [on, off]));
}

/** Whether a label or annotation key is surely a slip of `known`: the same words, each nearly. */
export function isNearKey(key: string, known: string): boolean {
  if (key === known || Math.abs(key.length - known.length) > maxLengthGap) return false;
  const [parts, knownParts] = [partsOf(key), partsOf(known)];
  if (parts.join('') === knownParts.join('')) return true;
  return (
    parts.length === knownParts.length &&
    knownParts.every((part, index) => nearest(parts[index] ?? '', [part]) !== undefined)
  );
}

// Most objects carry some dozen keys, none of them near: leave those early.
const maxLengthGap = 6;

function partsOf(key: string): string[] {
  return key.toLowerCase().split(/[^a-z0-9]+/);
}
