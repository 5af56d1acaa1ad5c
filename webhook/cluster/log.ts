/** What cluster and controller say. winston's Logger is one. */
export interface Log {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** Errors in one line, with what caused them: "list pods: connect ECONNREFUSED 10.0.0.1:443". */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Node joins the addresses it tried into an AggregateError without a message.
  const own = error.message || (error as NodeJS.ErrnoException).code || error.name;
  return error.cause instanceof Error ? `${own}: ${sentenceOf(error.cause)}` : own;
}

/** The same kind of line once in `intervalMs`, with the number of those left out: there may be one per object. */
export function seldom(
  say: (message: string) => void,
  now: () => number,
  intervalMs = 60_000,
): (message: string) => void {
  let lastAt: number | undefined;
  let left = 0;
  return (message) => {
    if (lastAt !== undefined && now() - lastAt < intervalMs) {
      left += 1;
      return;
    }
    say(left > 0 ? `${message} (and ${left} more like it before)` : message);
    lastAt = now();
    left = 0;
  };
}
