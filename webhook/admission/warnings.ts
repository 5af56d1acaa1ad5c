// Warnings as the API server passes them on.

// Past 4,096 code points in all, the API server starts again and cuts each to 256 (WithWarningRecorder in k8s.io/apiserver).
const maxWarningChars = 256;
const maxTotalChars = 4096;

// C0 and C1 controls, and the two Unicode line ends.
const controls = /[\p{Cc}\u2028\u2029]/gu;

/** Values come from strangers, and the API server silently leaves out a warning with a control character in it. */
export function escapeControls(text: string): string {
  return text
    .toWellFormed()
    .replace(controls, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Each once, on one line, short enough that the API server leaves them whole; the last one tells how many are missing. */
export function boundedWarnings(warnings: readonly string[]): string[] {
  const short = [...new Set(warnings.map((warning) => cut(escapeControls(warning), maxWarningChars)))];
  const room = maxTotalChars / maxWarningChars;
  if (short.length <= room) return short;
  const kept = short.slice(0, room - 1);
  return [...kept, `… and ${short.length - kept.length} more warnings`];
}

/** At most `maxChars` code points, an ellipsis for what is missing. */
export function cut(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  // A code point is two UTF-16 units at most: no need to spread a text of megabytes.
  const points = Array.from(text.slice(0, (maxChars + 1) * 2));
  return points.length <= maxChars ? text : `${points.slice(0, maxChars - 1).join('')}…`;
}
