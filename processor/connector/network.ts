// IP addresses and networks (CIDR) as bytes.
import { isIPv4, isIPv6 } from 'node:net';

/** 4 or 16 bytes, network order. */
export type Address = Uint8Array;

export interface Network {
  address: Address;
  /** Of the prefix. */
  bits: number;
}

/** Undefined: no IP address. IPv4-mapped IPv6 is IPv4 (RFC 4291 §2.5.5.2); a zone (`%eth0`) is refused. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const bytes = ipv6Bytes(text);
  return isMapped(bytes) ? bytes.slice(12) : bytes;
}

/** `10.0.0.0/8`, `fd00::/8`; a bare address is a network of one. Bits behind the prefix do not count. */
export function parseNetwork(text: string): Network | undefined {
  const [, addressText = '', bitsText] = text.match(/^([^/]*)(?:\/(\d{1,3}))?$/) ?? [];
  const address = parseAddress(addressText);
  if (!address) return undefined;
  const length = address.length * 8;
  if (bitsText === undefined) return { address, bits: length };
  // The prefix of ::ffff:10.0.0.0/104 counts the 96 bits that are gone.
  const bits = Number(bitsText) - (addressText.includes(':') && length === 32 ? 96 : 0);
  return bits >= 0 && bits <= length ? { address, bits } : undefined;
}

export function contains({ address: network, bits }: Network, address: Address): boolean {
  if (network.length !== address.length) return false;
  return address.every((byte, index) => {
    const shift = 8 - Math.min(8, Math.max(0, bits - 8 * index));
    return byte >> shift === (network[index] ?? 0) >> shift;
  });
}

function ipv6Bytes(text: string): Address {
  const [, head = '', dotted] = text.match(/^(.*?)(?:(\d+\.\d+\.\d+\.\d+))?$/) ?? [];
  const last = dotted?.split('.').map(Number) ?? [];
  const [left = [], right] = head
    .split('::')
    .map((half) => half.split(':').filter(Boolean).flatMap(groupBytes));
  const missing = 16 - left.length - (right?.length ?? 0) - last.length;
  return Uint8Array.from([
    ...left,
    ...Array<number>(Math.max(0, missing)).fill(0),
    ...(right ?? []),
    ...last,
  ]);
}

function groupBytes(hex: string): [number, number] {
  const group = Number.parseInt(hex, 16);
  return [group >> 8, group & 0xff];
}

const isMapped = (bytes: Address): boolean =>
  bytes.every((byte, index) => index >= 12 || byte === (index < 10 ? 0 : 0xff));
