// Who sent a request, when proxies that are trusted stand between.
import { addressText, type Header } from '../exchange.ts';
import { type Address, contains, type Network, parseAddress } from './network.ts';

export interface Client {
  /** The nearest address that no trusted proxy has. */
  address: string;
  /** The header that told it; absent: it is the peer of the connection. */
  header?: string;
  /** Why the client behind this address is not known. */
  unknown?: string;
}

export interface Proxies {
  /** Networks of those who are believed; null: everybody is. */
  trusted: readonly Network[] | null;
  /** Names of headers, the first that a request has counts. */
  realIp: readonly string[];
  originalHost: readonly string[];
}

// Nobody has more proxies; an attacker may write more.
const maxHops = 64;
const maxShown = 60;

/** Undefined: no rule is about this peer. Only the first that is applies. */
export function proxiesOf(peer: string, rules: readonly Proxies[]): Proxies | undefined {
  const address = parseAddress(peer);
  return address && rules.find((rule) => trusts(rule, address));
}

/**
 * Walks the header from its end, where the nearest proxy wrote, through trusted hops to the first that is not:
 * what stands before that one is the word of a stranger. Headers of a peer that is not trusted are never read.
 * As nginx does with `real_ip_recursive on`: https://nginx.org/en/docs/http/ngx_http_realip_module.html
 */
export function clientOf(peer: string, headers: readonly Header[], proxies: Proxies | undefined): Client {
  const name = proxies?.realIp.find((name) => valuesOf(headers, name).length > 0);
  if (!proxies || name === undefined) return { address: peer };
  const hops = valuesOf(headers, name)
    .join(',')
    .split(',')
    .map((hop) => hop.trim())
    .filter((hop) => hop !== '');
  const told = (address: string, unknown?: string): Client => ({
    address,
    ...(address !== peer && { header: name }),
    ...(unknown !== undefined && { unknown }),
  });

  let last = peer;
  for (const hop of hops.slice(-maxHops).reverse()) {
    const address = parseHop(hop);
    if (!address) return told(last, `${name} says ${JSON.stringify(hop.slice(0, maxShown))}`);
    last = addressText(address, name);
    if (!trusts(proxies, address)) return { address: last, header: name };
  }
  return hops.length > maxHops ? told(last, `${name} names more than ${maxHops} proxies`) : told(last);
}

/** Values of all lines of that name, in order. */
export function valuesOf(headers: readonly Header[], name: string): string[] {
  const lower = name.toLowerCase();
  return headers.flatMap(({ name, value }) => (name.toLowerCase() === lower ? [value] : []));
}

const trusts = ({ trusted }: Proxies, address: Address): boolean =>
  trusted === null || trusted.some((network) => contains(network, address));

/** An address, or one with its port: `192.0.2.1:4711`, `[2001:db8::1]`, `[2001:db8::1]:4711`. */
function parseHop(text: string): Address | undefined {
  const [, bracketed, dotted] = text.match(/^(?:\[([^\]]*)\]|(\d+\.\d+\.\d+\.\d+))(?::\d{1,5})?$/) ?? [];
  return parseAddress(bracketed ?? dotted ?? text);
}
