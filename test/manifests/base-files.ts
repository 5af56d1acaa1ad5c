// What `helm template` prints, as files for kustomize.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

export const BASE = join(import.meta.dirname, '..', '..', 'manifests', 'base');

// Not of the chart: Helm makes the namespace itself.
const byHand = ['kustomization.yaml', 'namespace.yaml'];

const header = `# Written by \`make manifests\` from the chart's default values: change it there, or by an overlay.
# manifests/chart/values.yaml says of each value when to change it.
`;

const sourceLine = /^# Source: podmirror\/templates\/(\S+)$/m;
// What only Helm needs: its labels, what makes pods new when a configuration is, and what remembers values.
const ofHelm = [
  /^ +app\.kubernetes\.io\/managed-by: Helm\n/gm,
  /^ +helm\.sh\/chart: .*\n/gm,
  /^ +checksum\/config: .*\n/gm,
  / +annotations:\n +#[^\n]*\n +podmirror\.io\/filters-of-values: .*\n/g,
];

/** `rendered`: the output of `helm template`. Returns path → text, one file for each template, in the order of kinds. */
export function baseFiles(rendered: string): Map<string, string> {
  const documents = new Map<string, string[]>();
  for (const document of rendered.split(/^---\n/m)) {
    const [line, path] = sourceLine.exec(document) ?? [];
    if (line === undefined || path === undefined) continue;
    const text = ofHelm.reduce(
      (rest, pattern) => rest.replace(pattern, ''),
      document.replace(`${line}\n`, ''),
    );
    documents.set(path, [...(documents.get(path) ?? []), `${text.trim()}\n`]);
  }
  return new Map([...documents].map(([path, texts]) => [path, `${header}${texts.join('---\n')}`]));
}

/** Paths of the files in manifests/base that `make manifests` writes. */
export function generated(): string[] {
  const entries = readdirSync(BASE, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(BASE.length + 1));
  return paths.filter((path) => !byHand.includes(path)).sort();
}
