/** What `agent --print` wrote, as facts to compare. */
import type { Fact } from './compare.ts';

type Text = string | { base64: string };

export interface PrintedLine {
  workload: { name: string };
  request: { method: Text; target: Text; headers: [Text, Text][]; bodyLength?: number };
  response?: { status: number; contentLength?: number };
  flags: string[];
}

/** Every line must be JSON; the last one must be complete. */
export function parseLines(stdout: string): PrintedLine[] {
  if (stdout !== '' && !stdout.endsWith('\n'))
    throw new Error('read what was printed: half a line at its end');
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as PrintedLine);
}

export function idOfLine({ request }: PrintedLine): string {
  const header = request.headers.find(([name]) => latin1(name).toLowerCase() === 'x-id');
  return header ? latin1(header[1]) : '';
}

/** Of what an access log knows; the rest stays unknown. */
export function factOfLine(line: PrintedLine): Fact {
  const { request, response } = line;
  const method = latin1(request.method);
  const noBody = method === 'HEAD' || response?.status === 304;
  return {
    id: idOfLine(line),
    method,
    target: latin1(request.target),
    status: response?.status ?? 0,
    bodyLength: request.bodyLength ?? null,
    responseLength: noBody ? null : (response?.contentLength ?? null),
    headers: null,
    trailers: null,
    bodyDigest: null,
  };
}

function latin1(text: Text): string {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'utf8') : Buffer.from(text.base64, 'base64');
  return bytes.toString('latin1');
}
