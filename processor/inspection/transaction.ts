// What of an exchange goes to the inspector, within bounds: an inspection cannot be interrupted.
import type { Exchange, Header } from '../exchange.ts';
import type { RawTransaction } from '../modsecurity/modsecurity.ts';

export interface InspectionLimits {
  maxBodyBytes: number;
  /** In the query, and again in a form body. */
  maxArguments: number;
}

// Header lines beyond these say nothing that the first ones do not.
const maxHeaders = 256;
const maxHeaderBytes = 16_384;
const maxTargetBytes = 65_536;

export function transactionOf(exchange: Exchange, limits: InspectionLimits): RawTransaction {
  const { connection, request, response } = exchange;
  return {
    clientAddress: connection.clientAddress,
    clientPort: connection.clientPort,
    serverAddress: connection.serverAddress,
    serverPort: connection.serverPort,
    method: bytes(request.method),
    target: bytes(capTarget(request.target, limits.maxArguments)),
    version: request.version.replace(/^HTTP\//, ''),
    headers: request.headers.slice(0, maxHeaders).map(rawHeader),
    body: bytes(capBody(request, limits)),
    ...(response && { status: response.status }),
    responseHeaders: (response?.headers ?? []).slice(0, maxHeaders).map(rawHeader),
  };
}

function capTarget(target: string, maxArguments: number): string {
  const query = target.indexOf('?') + 1;
  const short = target.slice(0, maxTargetBytes);
  return query === 0 ? short : short.slice(0, query) + capArguments(short.slice(query), maxArguments);
}

function capBody({ headers, body }: Exchange['request'], limits: InspectionLimits): string {
  const short = body.slice(0, limits.maxBodyBytes);
  const type = headers.find(({ name }) => name.toLowerCase() === 'content-type')?.value ?? '';
  return /^\s*application\/x-www-form-urlencoded/i.test(type)
    ? capArguments(short, limits.maxArguments)
    : short;
}

/** `a=1&b=2&c=3` with at most `max` arguments. */
export function capArguments(text: string, max: number): string {
  let end = -1;
  for (let count = 0; count < max; count++) {
    end = text.indexOf('&', end + 1);
    if (end === -1) return text;
  }
  return text.slice(0, end);
}

const rawHeader = ({ name, value }: Header) => ({
  name: bytes(name.slice(0, maxHeaderBytes)),
  value: bytes(value.slice(0, maxHeaderBytes)),
});

const bytes = (latin1: string): Buffer => Buffer.from(latin1, 'latin1');
