// Kubernetes objects of a file, as kubectl writes and reads them: one, several YAML documents, or lists of them; JSON too.
import { parseAllDocuments } from 'yaml';
import { isBlock } from '../admission/object.ts';
import { quote } from '../intent/show.ts';

// YAML takes about half a second and 90 MiB of memory a MiB; JSON is sixty times as fast.
const maxYamlBytes = 24 * 1024 * 1024;

/** Lists are opened; what is no object is left in. Throws with the line and what to write. */
export function objectsOf(text: string): unknown[] {
  return documentsOf(text).flatMap(opened);
}

function documentsOf(text: string): unknown[] {
  if (/^\s*[{[]/.test(text)) {
    try {
      return [JSON.parse(text)];
    } catch {
      // YAML may begin so too, and several JSON documents are YAML; else its parser says what is wrong, and where.
    }
  }
  const bytes = Buffer.byteLength(text);
  if (bytes > maxYamlBytes) {
    throw new Error(
      `${Math.ceil(bytes / 1024 / 1024)} MiB of YAML take too long to read. Write it with -o json`,
    );
  }
  const documents = parseAllDocuments(text, { prettyErrors: true, logLevel: 'error' });
  if (!Array.isArray(documents)) return [];
  return documents.map((document) => {
    const [error] = document.errors;
    if (error)
      throw new Error(`it is no YAML: ${firstLine(error.message)}. Write it with kubectl get -o json`);
    return document.toJS() as unknown;
  });
}

function firstLine(message: string): string {
  return message.split('\n')[0]?.replace(/[:.]\s*$/, '') ?? quote(message);
}

/** Items of a PodList do not say their kind: it is that of the list. */
function opened(object: unknown): unknown[] {
  if (Array.isArray(object)) return object;
  if (!isBlock(object)) return object === null ? [] : [object];
  const { kind, apiVersion, items } = object;
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items)) return [object];
  const itemKind = kind.slice(0, -'List'.length);
  return items.map((item) =>
    itemKind !== '' && isBlock(item) ? { apiVersion, kind: itemKind, ...item } : item,
  );
}
