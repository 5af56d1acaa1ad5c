/** An address of this machine that is no loopback: the API server refuses those as endpoints of a Service. */
import { execFileSync } from 'node:child_process';
import { atExit } from '../harness/last-resort.ts';

/** RFC 5737: for documentation, so nobody's. On `lo`, so nothing leaves the machine. */
export const WEBHOOK_ADDRESSES = ['192.0.2.1', '192.0.2.2'] as const;

/** Adds the addresses to `lo`; returns the function that takes away those that were not there before. */
export function addAddresses(addresses: readonly string[]): () => void {
  const present = execFileSync('ip', ['-4', '-o', 'addr', 'show', 'dev', 'lo'], { encoding: 'utf8' });
  const added = addresses.filter((address) => !present.includes(` ${address}/`));
  for (const address of added) ip('add', address);
  const remove = () => {
    for (const address of added.splice(0)) ip('del', address);
  };
  const forget = atExit(remove);
  return () => {
    forget();
    remove();
  };
}

function ip(verb: 'add' | 'del', address: string): void {
  execFileSync('ip', ['addr', verb, `${address}/32`, 'dev', 'lo'], { stdio: 'ignore' });
}
