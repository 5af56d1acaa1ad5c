// A YAML text that remembers on which line each value stands.
import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { ConfigError, type Mistake } from './mistakes.ts';

export type ValuePath = readonly PropertyKey[];

export interface Source {
  file: string;
  value: unknown;
  /** The line of the value at `path`, or of its nearest parent when it is not there. From 1. */
  lineOf(path: ValuePath): number;
}

const syntaxRemedies: Record<string, string> = {
  DUPLICATE_KEY: 'Write each key once',
  TAB_AS_INDENT: 'Indent with blanks',
  MULTIPLE_DOCS: 'Write one document, without ---',
  BAD_INDENT: 'Indent the keys of one block alike',
};

/** Throws ConfigError when the text is no YAML or empty. */
export function parseSource(text: string, file: string): Source {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const mistake = (line: number, what: string): Mistake => ({ file, line, where: '', what });
  const lineAt = (offset: number) => Math.max(1, lines.linePos(offset).line);

  if (document.errors.length > 0) {
    throw new ConfigError(
      document.errors.map(({ code, message, pos }) => {
        const remedy = syntaxRemedies[code] ?? 'Write valid YAML, indented with blanks';
        return mistake(lineAt(pos[0]), `${firstSentence(message)}. ${remedy}`);
      }),
    );
  }
  if (document.contents === null) {
    throw new ConfigError([mistake(1, 'nothing in it. Write at least targets: with one target')]);
  }

  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new ConfigError([mistake(1, `${(cause as Error).message}. Write the values out`)]);
  }
  const contents: Node = document.contents;
  return { file, value, lineOf: (path) => lineAt(offsetOf(contents, path)) };
}

function firstSentence(message: string): string {
  return message.split(/[\n;]/)[0]?.replace(/\.$/, '') ?? message;
}

/** Where the key of the last step stands, so that a value on the next lines is still reported at its name. */
function offsetOf(root: Node, path: ValuePath): number {
  let node: unknown = root;
  let offset = root.range?.[0] ?? 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (!pair) return offset;
      if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      if (!isNode(node)) return offset;
      offset = node.range?.[0] ?? offset;
    } else {
      return offset;
    }
    // What an alias stands for is written elsewhere; the line with the * is the one to look at.
    if (isAlias(node)) return offset;
  }
  return offset;
}
