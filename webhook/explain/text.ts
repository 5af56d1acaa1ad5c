// Text for a terminal: short lines, a block for each subject, nothing that steers the terminal.
import { escapeInvisible } from '../intent/show.ts';

const width = 100;

/** Blocks with a line between them; empty ones are left out. */
export function textOf(blocks: string[][]): string {
  const written = blocks.filter((lines) => lines.length > 0).map((lines) => lines.join('\n'));
  return `${written.join('\n\n')}\n`;
}

/** A heading and what belongs under it; nothing at all when that is empty. */
export function section(heading: string, lines: string[]): string[] {
  return lines.length === 0 ? [] : [...paragraph(heading), ...lines];
}

/** A sentence over as many lines as it takes. */
export function paragraph(sentence: string, indent = ''): string[] {
  return wrapped(sentence, indent, indent);
}

export function bullets(sentences: string[]): string[] {
  return sentences.flatMap((sentence) => wrapped(sentence, '  - ', '    '));
}

/** "  node       node-1", with the words in a column. */
export function facts(pairs: readonly (readonly [name: string, words: string])[]): string[] {
  const column = Math.min(maxColumn, Math.max(0, ...pairs.map(([name]) => escapeInvisible(name).length)));
  return pairs.flatMap(([name, words]) => {
    return wrapped(words, `  ${escapeInvisible(name).padEnd(column)}  `, ' '.repeat(column + 4));
  });
}

const maxColumn = 30;

function wrapped(sentence: string, first: string, next: string): string[] {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of escapeInvisible(sentence).split(' ')) {
    if (!empty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = next;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line.trimEnd()];
}

export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}
