/** Whether the demo showed what it must: pure, so that a test can say what a failure looks like. */
import type { Ledger } from '../../bpf/index.d.ts';
import type { RecordedAttack } from '../harness/processor.ts';

export interface Shown {
  attacks: readonly RecordedAttack[];
  ledger: Ledger;
  /** Requests that curl sent. */
  sent: number;
  /** Exchanges that were printed. */
  exchanges: number;
}

/** What is wrong, a sentence each; empty when all is well. */
export function whatIsWrong({ attacks, ledger, sent, exchanges }: Shown): string[] {
  const { captured, delivered, dropped, inFlight } = ledger.exchanges;
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  const wrong: string[] = [];
  if (exchanges !== sent) wrong.push(`curl sent ${sent} requests, and ${exchanges} exchanges were printed`);
  if (!attacks.some(isPasswordFile)) wrong.push('no path-traversal attack on /etc/passwd is on record');
  if (captured !== delivered + lost) {
    wrong.push(
      `the ledger does not close: captured ${captured}, delivered ${delivered}, dropped ${lost}, in flight ${inFlight}`,
    );
  }
  if (!ledger.closes) wrong.push('the agent says that its ledger does not close: see /ledger');
  if (captured !== sent) wrong.push(`curl sent ${sent} requests, and the agent captured ${captured}`);
  return wrong;
}

export function isPasswordFile({ type, path }: RecordedAttack): boolean {
  return /path.?traversal/i.test(type) && path.split('?')[0] === '/etc/passwd';
}
