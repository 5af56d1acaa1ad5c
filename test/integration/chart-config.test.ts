/** What the chart writes for agent and processor, read by what reads it there. */
import test from 'ava';
import { parseConfig } from '../../agent/config.ts';
import { readConfig } from '../../processor/config.ts';
import { objectsOf } from '../manifests/objects.ts';
import { renderChart, valuesFile } from '../manifests/render-chart.ts';

const chosen: [string, string[]][] = [
  ['its defaults', []],
  ['values for the vendor’s chart', ['--values', valuesFile('vendor')]],
  ['every option', ['--values', valuesFile('all')]],
];

interface ConfigMap {
  data: Record<string, string>;
}

for (const [what, args] of chosen) {
  test(`agent and processor read what the chart writes with ${what}`, async (t) => {
    const objects = Object.values(objectsOf(await renderChart(args)));
    const dataOf = (name: string) => {
      const found = objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name);
      return (found as unknown as ConfigMap).data;
    };
    const agent = parseConfig(
      dataOf('podmirror-agent')['podmirror.yaml'] ?? '',
      '/etc/podmirror/podmirror.yaml',
    );
    t.is(agent.processor?.cert, '/etc/podmirror/tls/tls.crt');
    t.truthy(agent.cluster);
    // A token that is not in the file comes by this variable, from a Secret.
    const env = { PODMIRROR_PROCESSOR_API_TOKEN: '0123456789abcdef' };
    const processor = readConfig(dataOf('podmirror-processor')['processor.yaml'] ?? '', env);
    t.is(processor.store.file, '/var/lib/podmirror/processor.db');
  });
}
