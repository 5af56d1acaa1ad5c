/** Checks each exchange of a numbered load as it comes, and compares all of them with the server's access log. */
import type { CapturedExchange } from '../harness/exchanges.ts';
import { headerText, headerValue } from '../harness/facts.ts';
import type { AccessLine } from './access-log.ts';
import { type NumberedRequest, requestOfId } from './numbered.ts';
import { suiteName } from './suites.ts';

export interface Account {
  take(exchange: CapturedExchange): void;
  /** Whose id is another's are passed by from here on. */
  begin(prefix: string, expectations?: Expectations): void;
  /** Answered exchanges since `begin`. */
  count(): number;
  /** What is not as its number says; the first few. */
  wrong(): string[];
  /** Everything since `begin` against the lines of the server with the same prefix. */
  compare(lines: readonly AccessLine[]): Comparison;
}

export interface Expectations {
  serverName?: string;
  /**
   * The connections are older than the capture: read by calls if at all, and marked. 'some': each is one or the other, and
   * those that began before a probe for secrets stood may be read by calls, too.
   */
  older?: boolean | 'some';
  /** The target is released meanwhile: a body that was still to come, of a request answered before, ends there and says so. */
  released?: boolean;
  /** The handshake was seen, and calls are read all the same; 'late': not from the connection's beginning, and marked. */
  called?: boolean | 'late';
}

export interface Comparison {
  lines: number;
  /** Exchanges with a response, and each of them right. */
  right: number;
  /** What is not as its number or the server's line says, in words; the first few. */
  wrong: string[];
  wrongCount: number;
  /** Lines without an exchange. */
  missing: string[];
  missingCount: number;
  /** Requests that were right, without a response: the server closed under them. */
  unanswered: number;
}

const FIRST = 8;
/** The capture's default `maxBodyBytes`. */
const BODY_CAP = 65_536;

export function createAccount(): Account {
  let prefix = '';
  let expectations: Required<Expectations> = { serverName: '', older: false, released: false, called: false };
  /** What the server's line must agree with, by id. */
  let seen = new Map<string, string>();
  let unanswered = 0;
  let wrong: string[] = [];
  let wrongCount = 0;
  const say = (id: string, what: string) => {
    wrongCount += 1;
    if (wrong.length < FIRST) wrong.push(`${id}: ${what}`);
  };

  return {
    begin(next, { serverName = 'shop.example', older = false, released = false, called = false } = {}) {
      prefix = next;
      expectations = { serverName, older, released, called };
      seen = new Map();
      [unanswered, wrongCount, wrong] = [0, 0, []];
    },
    count: () => seen.size,
    wrong: () => wrong,
    take(exchange) {
      const id = headerValue(exchange.request.headers, 'x-id') ?? null;
      if (id !== null && !id.startsWith(`${prefix}-`)) return;
      const request = id === null ? null : requestOfId(prefix, id);
      if (!request)
        return say(id ?? '(no id)', `no such request: ${exchange.request.target.toString('latin1')}`);
      for (const difference of differences(exchange, request, expectations)) say(request.id, difference);
      if (exchange.response === null) {
        unanswered += 1;
        return;
      }
      if (seen.has(request.id)) say(request.id, 'delivered twice');
      seen.set(request.id, factOfExchange(exchange));
    },
    compare(lines) {
      const missing: string[] = [];
      let missingCount = 0;
      const left = new Map(seen);
      for (const line of lines) {
        const fact = left.get(line.id);
        left.delete(line.id);
        if (fact === undefined) {
          missingCount += 1;
          if (missing.length < FIRST) missing.push(`${line.id} ${line.target}`);
        } else if (fact !== factOfLine(line))
          say(line.id, `the log says ${factOfLine(line)}, the exchange ${fact}`);
      }
      for (const id of left.keys()) say(id, 'delivered, and not in the log');
      return {
        lines: lines.length,
        right: seen.size - wrongCount,
        wrong,
        wrongCount,
        missing,
        missingCount,
        unanswered,
      };
    },
  };
}

/** Status, TLS version and suite: what only the server can confirm. */
function factOfExchange({ response, connection: { tls }, request }: CapturedExchange): string {
  const version = tls ? `TLSv${/1\.[23]/.exec(tls.version)?.[0] ?? `?${tls.version}`}` : '';
  const method = request.method.toString('latin1');
  return [
    method,
    request.target.toString('latin1'),
    response?.status,
    version,
    suiteName(tls?.cipherSuite ?? ''),
  ].join(' ');
}

function factOfLine({ method, target, status, version, suite }: AccessLine): string {
  return [method, target, status, version, suite].join(' ');
}

function* differences(
  { request, response, connection, gap, conflicting, joinedLate }: CapturedExchange,
  expected: NumberedRequest,
  expectations: Required<Expectations>,
): Generator<string> {
  const { serverName, called } = expectations;
  const older = expectations.older === 'some' ? joinedLate : expectations.older;
  const target = request.target.toString('latin1');
  if (target !== expected.target) yield `target ${target}`;
  const method = request.method.toString('latin1');
  if (method !== expected.method) yield `method ${method}`;
  const headers = headerText(request.headers);
  if (headers !== expected.headers) yield `headers ${headers.slice(0, 300)}`;
  const endsEarly = expectations.released && request.bodyTruncated && request.bodyLength === undefined;
  if (!request.body.equals(expected.body.subarray(0, endsEarly ? request.body.length : BODY_CAP)))
    yield `another body of ${request.body.length} bytes`;
  if (response) {
    if (response.status !== expected.status) yield `status ${response.status}`;
    if (response.contentLength !== expected.responseLength)
      yield `response of ${response.contentLength} bytes`;
    if (!endsEarly && request.bodyLength !== expected.body.length) yield `body length ${request.bodyLength}`;
    if (!endsEarly && request.bodyTruncated !== expected.body.length > BODY_CAP)
      yield `truncated: ${request.bodyTruncated}`;
    if (gap || conflicting || joinedLate !== (older || called === 'late'))
      yield `flags ${JSON.stringify({ gap, conflicting, joinedLate })}`;
  }
  const { tls } = connection;
  if (!tls) return;
  const either = expectations.older === 'some' && !older;
  if (tls.boundBy !== (older || called ? 'call' : 'aead') && !(either && tls.boundBy === 'call'))
    yield `bound by ${tls.boundBy}`;
  // Nobody saw the ClientHello of an older one.
  if (!older && tls.serverName !== serverName) yield `server name ${tls.serverName}`;
}
