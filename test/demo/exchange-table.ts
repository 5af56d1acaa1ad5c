/** The exchanges that `agent --print` wrote, as a table. */
import { renderTable } from './table.ts';

interface PrintedExchange {
  time?: string;
  workload?: { name?: string };
  client?: string;
  request?: { method?: unknown; target?: unknown; bodyLength?: number };
  response?: { status?: number; contentType?: string };
  responseDelayMs?: number;
  flags?: string[];
}

/** Lines that are no JSON, such as the agent's log, are passed over. */
export function parsePrinted(output: string): PrintedExchange[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as PrintedExchange);
}

export function exchangeTable(exchanges: readonly PrintedExchange[]): string {
  const head = ['time', 'workload', 'method', 'target', 'body', 'status', 'type', 'delay'];
  const rows = exchanges.map(({ time, workload, request, response, responseDelayMs }) => [
    time?.slice(11, 23) ?? '',
    workload?.name ?? '',
    textOf(request?.method),
    textOf(request?.target),
    String(request?.bodyLength ?? 'unknown'),
    String(response?.status ?? 'unknown'),
    response?.contentType ?? '',
    responseDelayMs === undefined ? '' : `${responseDelayMs.toFixed(2)} ms`,
  ]);
  return renderTable(head, rows);
}

/** What is not UTF-8 is printed as `{"base64": …}`. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? '');
}
