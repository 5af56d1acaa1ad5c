import { until } from '../harness/until.ts';
import { instanceOf } from './instance.ts';
import { ownerOf, removeInstance, removeStale } from './removal.ts';
import { forget, nameLeft } from './standing.ts';

// Its process takes it away itself, which is a matter of a second.
const LEAVE_MS = 30_000;

/** Takes away those named, or else what `up` has left; and every one whose process has ended. */
export async function down(names: readonly string[]): Promise<number> {
  const left = nameLeft();
  const wanted = names.length > 0 ? names : left === undefined ? [] : [left];
  for (const name of wanted) {
    const owner = ownerOf(name);
    if (owner !== undefined) {
      process.kill(owner, 'SIGTERM');
      await until(() => ownerOf(name) === undefined, { timeoutMs: LEAVE_MS, everyMs: 50 });
    }
    await removeInstance(instanceOf(name));
    process.stdout.write(`${name} is gone\n`);
    if (name === left) forget();
  }
  for (const name of await removeStale()) process.stdout.write(`${name}, whose process had ended, is gone\n`);
  return 0;
}
