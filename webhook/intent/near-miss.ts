// The word that somebody probably meant.

/** The known word nearest to `word`, or undefined when none is near; case, `-` and `_` do not count. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const plain = fold(word);
  const ranked = known
    .map((candidate) => ({ candidate, distance: distanceOf(plain, fold(candidate)) }))
    .sort((a, b) => a.distance - b.distance || a.candidate.length - b.candidate.length);
  const [best] = ranked;
  if (!best || best.distance > Math.max(1, Math.floor(best.candidate.length / 3))) return undefined;
  return best.candidate;
}

function fold(word: string): string {
  return word.toLowerCase().replace(/[-_]/g, '');
}

// A key is never this long; a hostile one is not worth the quadratic comparison.
const maxCompared = 256;

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment); a part of a word (`labels` of `pod_labels`) is one step away. */
function distanceOf(word: string, candidate: string): number {
  if (word.length > maxCompared) return Number.POSITIVE_INFINITY;
  if (word.length >= 3 && word !== candidate && candidate.includes(word)) return 1;
  let beforeThat: number[] = [];
  let previous = Array.from({ length: candidate.length + 1 }, (_, column) => column);
  for (let row = 1; row <= word.length; row++) {
    const current = [row];
    for (let column = 1; column <= candidate.length; column++) {
      const substitution = word[row - 1] === candidate[column - 1] ? 0 : 1;
      const [above = 0, diagonal = 0, left = 0] = [
        previous[column],
        previous[column - 1],
        current[column - 1],
      ];
      const isSwap =
        column > 1 && word[row - 1] === candidate[column - 2] && word[row - 2] === candidate[column - 1];
      const swapped = isSwap
        ? (beforeThat[column - 2] ?? Number.POSITIVE_INFINITY) + 1
        : Number.POSITIVE_INFINITY;
      current.push(Math.min(above + 1, left + 1, diagonal + substitution, swapped));
    }
    beforeThat = previous;
    previous = current;
  }
  return previous[candidate.length] ?? 0;
}
