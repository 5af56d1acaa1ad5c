/** What follows from a connection's and a request's number: programs/client/request.go derives the same. */

export interface NumberedRequest {
  id: string;
  method: 'GET' | 'POST';
  target: string;
  /** As sent: "Name: value", a line each. */
  headers: string;
  body: Buffer;
  status: number;
  /** Length of the response's body. */
  responseLength: number;
}

const STATUSES = [200, 201, 404, 503, 200, 200, 403] as const;
const BIG_LENGTH = 65_536;

export function numberedRequest(prefix: string, connection: number, number: number): NumberedRequest {
  const key = (Math.imul(connection, 1_000_003) + number) >>> 0;
  const word = (Math.imul(key, 2_654_435_761) >>> 0).toString(16).padStart(8, '0');
  const id = `${prefix}-${connection}-${number}`;
  const big = key % 50 === 1;
  const status = big ? 200 : (STATUSES[key % STATUSES.length] ?? 0);
  const post = key % 5 === 0;
  const body = post ? Buffer.from(word.repeat(bodyWords(key))) : Buffer.alloc(0);
  const headers = ['Host: shop.example', `X-Id: ${id}`, `X-Pad: ${word.repeat((key % 50) + 1)}`];
  if (post) headers.push(`Content-Length: ${body.length}`);
  return {
    id,
    method: post ? 'POST' : 'GET',
    target: `/${big ? 'big' : status}/${connection}/${number}?k=${word}`,
    headers: headers.join('\n'),
    body,
    status,
    responseLength: big ? BIG_LENGTH : id.length + 1,
  };
}

/** Null for an id that is not one of `prefix`. */
export function requestOfId(prefix: string, id: string): NumberedRequest | null {
  const numbers = id.startsWith(`${prefix}-`) ? /^(\d+)-(\d+)$/.exec(id.slice(prefix.length + 1)) : null;
  return numbers ? numberedRequest(prefix, Number(numbers[1]), Number(numbers[2])) : null;
}

function bodyWords(key: number): number {
  if (key % 1475 === 0) return 12_000;
  return key % 95 === 0 ? 5000 : (key % 400) + 1;
}

/** As the client sends it. */
export function requestText({ method, target, headers, body }: NumberedRequest): string {
  return `${method} ${target} HTTP/1.1\r\n${headers.replaceAll('\n', '\r\n')}\r\n\r\n${body}`;
}
