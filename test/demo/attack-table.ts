/** The attacks of the processor's API, as a table. */
import type { RecordedAttack } from '../harness/processor.ts';
import { renderTable } from './table.ts';

export function attackTable(attacks: readonly RecordedAttack[]): string {
  return renderTable(
    ['type', 'method', 'path', 'parameter', 'hits'],
    attacks.map(({ type, method, path, parameter, hits }) => [type, method, path, parameter, String(hits)]),
  );
}
