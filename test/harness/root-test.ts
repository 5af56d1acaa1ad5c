import test, { type ExecutionContext } from 'ava';
import { whyNoCgroups } from './cgroup.ts';

/** A test that needs root and cgroup2; skipped with the reason in its title elsewhere. One at a time. */
export function rootTest(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  const why = whyNoCgroups();
  if (why) test.skip(`${title} (skipped: ${why})`, run);
  else test.serial(title, run);
}
