// The message of a refusal. The API server puts `admission webhook "…" denied the request: ` before it.
import { renderProblem } from '../intent/filters.ts';
import type { Denial } from './decision.ts';
import { cut, escapeControls } from './warnings.ts';

// A line of a log that somebody pasted as a value.
const maxLineChars = 1024;

/** One line per problem; with several, a line before them says how many. */
export function messageOf({ subject, problems }: Denial): string {
  const lines = problems.map((problem) => cut(escapeControls(renderProblem(problem)), maxLineChars));
  return lines.length === 1
    ? lines.join('')
    : [`${lines.length} problems in ${subject}:`, ...lines].join('\n');
}
