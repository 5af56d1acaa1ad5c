/** Which process something belongs to, told so that a later one with the same pid is another. */
import { readFileSync } from 'node:fs';

/** `<pid> <start time in clock ticks since boot>`. Throws when it has ended. */
export function identityOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field is a name that may hold blanks and brackets. Start time is field 22.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z') throw new Error(`process ${pid} has ended`);
  return `${pid} ${fields[19]}`;
}

/** undefined: it has ended. */
export function pidOf(identity: string): number | undefined {
  const pid = Number(identity.split(' ')[0]);
  try {
    return identityOf(pid) === identity ? pid : undefined;
  } catch {
    return undefined;
  }
}
