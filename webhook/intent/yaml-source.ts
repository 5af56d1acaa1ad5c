// filters.yaml to a value; what YAML itself refuses, and what it reads otherwise than it looks, becomes a problem.
import { type CST, type Document, LineCounter, Parser, parseDocument, visit, type YAMLError } from 'yaml';
import type { Problem } from './problem.ts';
import { quote } from './show.ts';

// A ConfigMap holds 1 MiB; 1000 filters of people fit in this several times.
export const maxYamlBytes = 256 * 1024;
// Filters nest 4 deep. The YAML library recurses and would end the process on 100,000 brackets.
const maxDepth = 32;

export type YamlSource = { value: unknown; problems: [] } | { value: undefined; problems: Problem[] };

export function readYaml(text: string): YamlSource {
  const bytes = Buffer.byteLength(text);
  if (bytes > maxYamlBytes) {
    const wrong = `it is ${bytes} bytes long, and ${maxYamlBytes} are the most`;
    return refused({
      where: documentName,
      wrong,
      instead: 'Write fewer filters, with * for what names have in common',
    });
  }
  if (isTooDeep(text)) {
    const instead = 'Write filters: with a list of keys and patterns';
    return refused({ where: documentName, wrong: 'it is nested too deep', instead });
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const mistakes = mistakesOf(document);
  if (mistakes.length > 0) return refused(...firstOfEachLine(mistakes, text, lines));
  return { value: document.toJS(), problems: [] };
}

export const documentName = 'filters.yaml';

interface Mistake {
  offset: number;
  wrong: string;
  instead: string;
}

function mistakesOf(document: Document.Parsed): Mistake[] {
  const mistakes: Mistake[] = [];
  visit(document, {
    Alias: (_, node) => void mistakes.push({ offset: node.range?.[0] ?? 0, ...aliasMistake }),
  });
  for (const { pos, message } of document.warnings) mistakes.push({ offset: pos[0], ...tagMistake(message) });
  for (const error of document.errors) mistakes.push({ offset: error.pos[0], ...syntaxMistake(error) });
  return mistakes;
}

/** One slip of the pen makes the parser complain several times; the first complaint of a line is the telling one. */
function firstOfEachLine(mistakes: Mistake[], text: string, lines: LineCounter): Problem[] {
  // What is missed at the end of the document is missed in the last line with text.
  const end = text.trimEnd().length;
  const written = text.split('\n');
  const problems = new Map<number, Problem>();
  for (const { offset, wrong, instead } of mistakes) {
    const line = Math.max(1, lines.linePos(Math.min(offset, Math.max(0, end - 1))).line);
    if (problems.has(line)) continue;
    const shown = quote(written[line - 1]?.trim() ?? '');
    problems.set(line, { where: `${documentName} line ${line}`, wrong: `${shown}: ${wrong}`, instead });
  }
  return [...problems].sort(([a], [b]) => a - b).map(([, problem]) => problem);
}

function refused(...problems: Problem[]): YamlSource {
  return { value: undefined, problems };
}

const aliasMistake = {
  wrong: 'a * without quotes is an alias to YAML, not a pattern',
  instead: "Write the pattern in quotes, such as '*-api'",
};

function tagMistake(message: string): Omit<Mistake, 'offset'> {
  const [, tag] = /tag:? (\S+)/.exec(message) ?? [];
  return {
    wrong: `${tag?.startsWith('!') ? tag.slice(0, 60) : 'a !'} without quotes is a tag to YAML, not a pattern`,
    instead: "Write the pattern in quotes, such as '!kube-*'",
  };
}

function syntaxMistake({ code, message }: YAMLError): Omit<Mistake, 'offset'> {
  switch (code) {
    case 'DUPLICATE_KEY':
      return {
        wrong: 'a key is written twice',
        instead: 'Write each key once; join values with commas, such as team: backend,ops',
      };
    case 'MULTIPLE_DOCS':
      return { wrong: 'a second document begins', instead: 'Write one document, without ---' };
    case 'TAB_AS_INDENT':
      return { wrong: 'a tab indents it', instead: 'Indent with blanks' };
    case 'BAD_ALIAS':
      return aliasMistake;
    case 'TAG_RESOLVE_FAILED':
      return tagMistake(message);
    default:
      return {
        wrong: `no YAML (${message.replace(/[.:]?\s*$/, '').slice(0, 120)})`,
        instead:
          "Mend the line or the one before it; write patterns in quotes, such as '[a-z]*' or '{a,b}-?'",
      };
  }
}

function isTooDeep(text: string): boolean {
  const open: { token: CST.Token; depth: number }[] = [];
  for (const token of new Parser().parse(text)) open.push({ token, depth: 0 });
  for (let next = open.pop(); next; next = open.pop()) {
    const { token, depth } = next;
    if (depth > maxDepth) return true;
    for (const child of childrenOf(token)) open.push({ token: child, depth: depth + 1 });
  }
  return false;
}

function childrenOf(token: CST.Token): CST.Token[] {
  if (token.type === 'document') return token.value ? [token.value] : [];
  if (!('items' in token)) return [];
  return token.items.flatMap(({ key, value }) =>
    [key, value].filter((child) => child !== undefined && child !== null),
  );
}
