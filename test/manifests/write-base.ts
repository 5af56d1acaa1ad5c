// `make manifests`: manifests/base from the chart's default values, so that the chart is the one source of both.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BASE, baseFiles, generated } from './base-files.ts';
import { helmProgram } from './helm.ts';
import { renderChart } from './render-chart.ts';

for (const path of generated()) rmSync(join(BASE, path));
const files = baseFiles(await renderChart({ helm: helmProgram() }));
for (const [path, text] of files) {
  mkdirSync(dirname(join(BASE, path)), { recursive: true });
  writeFileSync(join(BASE, path), text);
}
process.stdout.write(`${BASE}: ${files.size} files\n`);
