// The host that a request is for, and globs of hosts.
import type { Exchange } from '../exchange.ts';
import { type Proxies, valuesOf } from './client.ts';
import { BadPattern, compilePattern } from './pattern.ts';

/** As sent, perhaps with a port; of a target in absolute or authority form, that (RFC 9112 §3.2.2); else empty. */
export function sentHost({ method, target, headers }: Exchange['request']): string {
  if (method === 'CONNECT') return target;
  const authority = target.match(/^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i)?.[1];
  return authority?.replace(/^.*@/, '') ?? valuesOf(headers, 'host')[0] ?? '';
}

/** What a trusted proxy says the host was; of several, the one that it wrote itself: the last. */
export function originalHost(
  headers: Exchange['request']['headers'],
  proxies: Proxies | undefined,
): string | undefined {
  const name = proxies?.originalHost.find((name) => valuesOf(headers, name).length > 0);
  if (name === undefined) return undefined;
  const host = valuesOf(headers, name).join(',').split(',').at(-1)?.trim();
  return host === '' ? undefined : host;
}

/** Lower case, without port and final dot. */
export function bareHost(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
}

export interface HostGlob {
  text: string;
  /** No wildcard: it names one host. */
  isExact: boolean;
  /** The host with its port or without. */
  matches(host: string): boolean;
}

/**
 * `*`, `?`, `[a-z]`, `[^a]`, `\c`, as Go's path.Match has them: `*` crosses dots. Case does not count.
 * Throws BadPattern.
 */
export function compileHostGlob(text: string): HostGlob {
  const glob = text.toLowerCase();
  const pattern = compilePattern(`^(?:${globSource(glob)})$`);
  const finds = (host: string) => pattern.finds(host, false);
  return {
    text,
    isExact: !/[*?[]/.test(glob),
    matches: (host) => finds(bareHost(host)) || finds(host.toLowerCase()),
  };
}

const literal = (char: string): string => `\\x{${(char.codePointAt(0) ?? 0).toString(16)}}`;

function globSource(glob: string): string {
  const chars = [...glob];
  let source = '';
  for (let at = 0; at < chars.length; ) {
    const char = chars[at] ?? '';
    if (char === '[') {
      const end = classEnd(chars, at);
      source += classSource(chars.slice(at + 1, end));
      at = end + 1;
    } else if (char === '\\') {
      const escaped = chars[at + 1];
      if (escaped === undefined) throw new BadPattern('it ends with a backslash');
      source += literal(escaped);
      at += 2;
    } else {
      source += char === '*' ? '[^/]*' : char === '?' ? '[^/]' : literal(char);
      at += 1;
    }
  }
  return source;
}

function classEnd(chars: readonly string[], begin: number): number {
  for (let at = begin + 1; at < chars.length; at++) {
    if (chars[at] === '\\') at += 1;
    else if (chars[at] === ']') return at;
  }
  throw new BadPattern('a "[" has no "]"');
}

function classSource(inside: readonly string[]): string {
  const negated = inside[0] === '^';
  let at = negated ? 1 : 0;
  const next = (): string => {
    const char = inside[at++];
    if (char === undefined || char === '-') throw new BadPattern('a range in "[…]" is not whole');
    return char === '\\' ? (inside[at++] ?? '\\') : char;
  };
  let items = '';
  while (at < inside.length) {
    const low = next();
    const isRange = inside[at] === '-';
    if (isRange) at += 1;
    const high = isRange ? next() : low;
    if (low > high) throw new BadPattern(`the range ${low}-${high} in "[…]" is the wrong way round`);
    items += `${literal(low)}-${literal(high)}`;
  }
  if (items === '') throw new BadPattern('"[]" is empty');
  return `[${negated ? '^' : ''}${items}]`;
}
