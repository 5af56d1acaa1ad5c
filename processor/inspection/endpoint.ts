// What an attack was aimed at: endpoint and parameter, by which hits are grouped.
import type { Exchange } from '../exchange.ts';
import type { Match } from '../modsecurity/modsecurity.ts';

// A group's key stays readable and bounded.
const maxChars = 200;

/** "GET /users/{id}": method and path, with what looks like an identifier taken out. */
export function endpointOf({ method, target }: Pick<Exchange['request'], 'method' | 'target'>): string {
  const path = pathOf(target)
    .split('/')
    .map((segment) => (isIdentifier(segment) ? '{id}' : segment))
    .join('/');
  return `${method} ${path}`.slice(0, maxChars);
}

/** Path of a request target in origin, absolute, authority or asterisk form (RFC 9112 §3.2). */
export function pathOf(target: string): string {
  const [path = ''] = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').split(/[?#]/, 1);
  return path === '' ? '/' : path;
}

function isIdentifier(segment: string): boolean {
  const isNumber = /^\d+$/.test(segment);
  const isUuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(segment);
  const isLongHex = /^[0-9a-f]{16,}$/i.test(segment) && /\d/.test(segment);
  return isNumber || isUuid || isLongHex;
}

/** For example "ARGS:file", "REQUEST_HEADERS:user-agent", "path"; empty when the rule does not tell. */
export function parameterOf({ variable, data }: Match): string {
  const name = variable || (data.match(/ found within ([^\s:]+(?::[^\s:]+)?): /)?.[1] ?? '');
  if (/^REQUEST_(FILENAME|BASENAME|URI|URI_RAW|LINE)$/.test(name)) return 'path';
  const readable = name.startsWith('REQUEST_HEADERS:')
    ? name.replace(/:.*/s, (rest) => rest.toLowerCase())
    : name;
  return readable.slice(0, maxChars);
}
