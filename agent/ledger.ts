// The account in one line, for the end of the log.
import type { Ledger } from '../bpf/index.d.ts';

/** `captured 12 = delivered 10 + dropped 2 (queue_full 2) + in flight 0; 3000 bytes lost (ring_full 3000)`. */
export function ledgerLine({ exchanges, bytes, closes, incidents }: Ledger): string {
  const { captured, delivered, dropped, inFlight } = exchanges;
  const lost = sum(bytes.lost) === 0 ? 'no byte lost' : `${withReasons(bytes.lost)} bytes lost`;
  const besides = sum(incidents) === 0 ? '' : `; besides ${withReasons(incidents)}`;
  const verdict = closes ? '' : '. IT DOES NOT CLOSE: that is a bug, please report this line';
  return `ledger: captured ${captured} = delivered ${delivered} + dropped ${withReasons(dropped)} + in flight ${inFlight}; ${lost}${besides}${verdict}`;
}

function withReasons(counts: Record<string, number>): string {
  const reasons = Object.entries(counts).filter(([, count]) => count > 0);
  const list = reasons.map(([reason, count]) => `${reason} ${count}`).join(', ');
  return list === '' ? '0' : `${sum(counts)} (${list})`;
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
