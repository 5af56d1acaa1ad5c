/** Runs a program's work and takes away what it made: at its end, on failure, and on Ctrl-C. */

export type Leave = AsyncDisposableStack;

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** Resolves to the exit code of `work`. A signal ends the process once everything is taken away. */
export async function leavingNothing(work: (leave: Leave) => Promise<number>): Promise<number> {
  const leave = new AsyncDisposableStack();
  let leaving = false;
  for (const [signal, code] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      // A second Ctrl-C must not interrupt the clearing up.
      if (leaving) return;
      leaving = true;
      leave.disposeAsync().then(
        () => process.exit(code),
        (error) => {
          process.stderr.write(`clearing up: ${String(error)}\n`);
          process.exit(1);
        },
      );
    });
  }
  try {
    return await work(leave);
  } catch (error) {
    // What failed because it was taken away under the work's feet is no news.
    if (leaving) return await new Promise<never>(() => {});
    throw error;
  } finally {
    if (!leaving) await leave.disposeAsync();
  }
}
