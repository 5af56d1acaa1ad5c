/** Addresses of this machine that are no loopback: the API server refuses those as endpoints of a Service. */
import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { atExit } from '../harness/last-resort.ts';

export interface Addresses {
  list: readonly string[];
  remove(): void;
}

/**
 * Some that nobody else on this machine has, on `lo`, so that nothing leaves it. RFC 5737: for documentation, so
 * nobody's.
 */
export function addAddresses(count: number): Addresses {
  const list: string[] = [];
  const remove = () => {
    for (const address of list.splice(0)) ip('del', address);
  };
  const forget = atExit(remove);
  for (let attempts = 0; list.length < count; attempts++) {
    if (attempts > 1000)
      throw new Error('add addresses: none of 192.0.2.0/24 is free. Remove those that tests have left on lo');
    const address = `192.0.2.${randomInt(1, 255)}`;
    // Refused when it is there: it belongs to another cluster of the tests.
    if (ip('add', address)) list.push(address);
  }
  return {
    list: [...list],
    remove() {
      forget();
      remove();
    },
  };
}

function ip(verb: 'add' | 'del', address: string): boolean {
  try {
    execFileSync('ip', ['addr', verb, `${address}/32`, 'dev', 'lo'], { stdio: ['ignore', 'ignore', 'pipe'] });
    return true;
  } catch (error) {
    const { stderr = '' } = error as { stderr?: Buffer };
    if (/already assigned|File exists/.test(String(stderr))) return false;
    throw new Error(`ip addr ${verb} ${address}: ${String(stderr).trim()}. Run as root`, { cause: error });
  }
}
