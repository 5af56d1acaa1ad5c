// `make manifests`: manifests/base from the chart's default values, so that the chart is the one source of both.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BASE, baseFiles, generated } from './base-files.ts';
import { renderChart } from './render-chart.ts';

const files = baseFiles(await renderChart(['--no-hooks']));
for (const path of generated()) rmSync(join(BASE, path));
for (const [path, text] of files) {
  mkdirSync(dirname(join(BASE, path)), { recursive: true });
  writeFileSync(join(BASE, path), text);
}
process.stdout.write(`${BASE}: ${files.size} files\n`);
