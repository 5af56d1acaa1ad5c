import { existsSync, readFileSync } from 'node:fs';

/** One line of nginx's own account of a request. */
export interface AccessLine {
  /** The X-Id header; empty when there was none or the head could not be read. */
  id: string;
  /** The request line as it came. */
  request: string;
  method: string;
  target: string;
  status: number;
  bodyBytesSent: number;
  /** As declared by the client. */
  contentLength: number | null;
  transferEncoding: string;
  expect: string;
  requestLength: number;
  /** Serial number of the connection. */
  connection: number;
  connectionRequests: number;
  pipelined: boolean;
  msec: number;
}

/** The complete lines of a log; none when the file is not there yet. */
export function readAccessLog(path: string): AccessLine[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'latin1');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(Boolean)
    .map(parseAccessLine);
}

/** Reads a line of the log_format in nginx-conf.ts; throws on any other. */
export function parseAccessLine(line: string): AccessLine {
  const fields: unknown = JSON.parse(line);
  if (typeof fields !== 'object' || fields === null) throw new Error(`access log: not an object: ${line}`);
  const values = new Map<string, unknown>(Object.entries(fields));
  const text = (name: string): string => {
    const value = values.get(name);
    if (typeof value !== 'string') throw new Error(`access log: ${name} is no text: ${line}`);
    return value;
  };
  const number = (name: string): number => {
    const value = values.get(name);
    if (typeof value !== 'number') throw new Error(`access log: ${name} is no number: ${line}`);
    return value;
  };
  const request = text('request');
  return {
    id: text('id'),
    request,
    method: text('method'),
    target: targetOf(request),
    status: number('status'),
    bodyBytesSent: number('bodyBytesSent'),
    contentLength: text('contentLength') === '' ? null : Number(text('contentLength')),
    transferEncoding: text('transferEncoding'),
    expect: text('expect'),
    requestLength: number('requestLength'),
    connection: number('connection'),
    connectionRequests: number('connectionRequests'),
    pipelined: text('pipelined') === 'p',
    msec: number('msec'),
  };
}

function targetOf(request: string): string {
  const begin = request.indexOf(' ') + 1;
  return request.slice(begin, request.lastIndexOf(' ')).trim();
}
