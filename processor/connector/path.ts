// The path of a request as filters and routes see it.
import { pathOf } from '../inspection/endpoint.ts';

/**
 * What a server may take the path for: first normalized (escapes decoded, `//` merged, `.` and `..` resolved), then as sent.
 * One form when they are equal. Where they differ, what excludes a request must hold for both: `/static/..%2fadmin` is no way around.
 */
export function pathForms(target: string): [normalized: string, ...asSent: string[]] {
  const sent = pathOf(target);
  const normalized = resolveDots(utf8(decodeEscapes(sent)));
  return normalized === sent ? [sent] : [normalized, sent];
}

const decodeEscapes = (latin1: string): string =>
  latin1.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));

/** Patterns are text; what is no UTF-8 becomes U+FFFD. */
const utf8 = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('utf8');

/** RFC 3986 §5.2.4, with `//` merged. */
function resolveDots(path: string): string {
  if (!path.startsWith('/')) return path;
  const kept: string[] = [];
  const segments = path.split('/');
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '.' && segment !== '') kept.push(segment);
  }
  const isFolder = ['', '.', '..'].includes(segments.at(-1) ?? '') && kept.length > 0;
  return `/${kept.join('/')}${isFolder ? '/' : ''}`;
}
