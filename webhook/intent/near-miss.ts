// The word that somebody probably meant.

/** What may still be spent, shared by all that is computed for one answer; 1 is a look at two words, less than 1 µs. */
export interface Comparisons {
  left: number;
}

// To count in how many letters two words differ, in such looks.
const fullCost = 20;

/** The known word nearest to `word`, or undefined when none is near; case, `-` and `_` do not count. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  return createNearest(known)(word);
}

interface Candidate {
  word: string;
  plain: string;
  /** A word that differs in more is not near. */
  maxDistance: number;
}

/** For many words to compare with the same known ones. When nothing is left to spend, nothing more is near. */
export function createNearest(
  known: readonly string[],
  comparisons: Comparisons = { left: Number.POSITIVE_INFINITY },
): (word: string) => string | undefined {
  const candidates = known.map((word): Candidate => {
    return { word, plain: fold(word), maxDistance: Math.max(1, Math.floor(word.length / 3)) };
  });
  return (word) => {
    if (word.length > maxCompared) return undefined;
    const plain = fold(word);
    let best: Candidate | undefined;
    let bestDistance = Number.POSITIVE_INFINITY;
    for (const candidate of candidates) {
      if (comparisons.left <= 0) break;
      comparisons.left -= 1;
      const atMost = Math.min(candidate.maxDistance, bestDistance);
      const distance = distanceOf(plain, candidate.plain, atMost, comparisons);
      if (distance > atMost) continue;
      // Of two that are equally near, the shorter.
      if (distance === bestDistance && best && candidate.word.length >= best.word.length) continue;
      best = candidate;
      bestDistance = distance;
    }
    return best?.word;
  };
}

function fold(word: string): string {
  return word.toLowerCase().replace(/[-_]/g, '');
}

// A key is never this long; a hostile one is not worth the quadratic comparison.
const maxCompared = 256;
const far = Number.POSITIVE_INFINITY;

/**
 * Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment); a part of a word (`labels` of
 * `pod_labels`) is one step away. Anything above `atMost` when it is more.
 */
function distanceOf(word: string, candidate: string, atMost: number, comparisons: Comparisons): number {
  if (word.length >= 3 && word !== candidate && candidate.includes(word)) return 1;
  if (Math.abs(word.length - candidate.length) > atMost) return far;
  comparisons.left -= fullCost;
  let beforeThat: number[] = [];
  let previous = Array.from({ length: candidate.length + 1 }, (_, column) => column);
  let leastBefore = 0;
  for (let row = 1; row <= word.length; row++) {
    const current = [row];
    let least = row;
    for (let column = 1; column <= candidate.length; column++) {
      const substitution = word[row - 1] === candidate[column - 1] ? 0 : 1;
      const [above = 0, diagonal = 0, left = 0] = [
        previous[column],
        previous[column - 1],
        current[column - 1],
      ];
      const isSwap =
        column > 1 && word[row - 1] === candidate[column - 2] && word[row - 2] === candidate[column - 1];
      const swapped = isSwap ? (beforeThat[column - 2] ?? far) + 1 : far;
      const distance = Math.min(above + 1, left + 1, diagonal + substitution, swapped);
      current.push(distance);
      least = Math.min(least, distance);
    }
    // A swap goes back two rows; past them, distances only grow.
    if (least > atMost && leastBefore > atMost) return far;
    leastBefore = least;
    beforeThat = previous;
    previous = current;
  }
  return previous[candidate.length] ?? 0;
}
