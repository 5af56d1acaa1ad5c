/** What the guest's init says of its checks: lines "ok CHECK" and "failed CHECK: why"; the others explain. */

/** By check: null when it passed, or why it did not. */
export function parseReport(report: string): Map<string, string | null> {
  const checks = new Map<string, string | null>();
  for (const [, passed, failed, why = ''] of report.matchAll(/^(?:ok (\S+)|failed (\S+): (.*))$/gm)) {
    if (passed !== undefined) checks.set(passed, null);
    else if (failed !== undefined) checks.set(failed, why);
  }
  return checks;
}
