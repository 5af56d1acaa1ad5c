// The processor's log: JSON lines on stdout unless configured otherwise, one per change of state, never one per exchange.
import { createLogger, format, type Logger, transports } from 'winston';

export type { Logger };

export interface LogSettings {
  level: 'debug' | 'info' | 'warn' | 'error';
  /** Lines for people; else JSON. */
  isPretty: boolean;
  /** Else to stdout. */
  toStderr: boolean;
}

export function createLog({ level, isPretty, toStderr }: LogSettings): Logger {
  const pretty = format.printf(({ timestamp, level, message }) => `${timestamp} ${level} ${message}`);
  return createLogger({
    level,
    format: format.combine(format.timestamp(), isPretty ? pretty : format.json()),
    transports: [
      new transports.Console({ stderrLevels: toStderr ? ['debug', 'info', 'warn', 'error'] : [] }),
    ],
  });
}

/** The same sentence at most once in `intervalMs`, with the number of those left out; there may be one per request. */
export function seldom(
  say: (message: string) => void,
  intervalMs: number,
  now: () => number,
): (message: string) => void {
  const last = new Map<string, { at: number; left: number }>();
  return (message) => {
    const before = last.get(message);
    if (before && now() - before.at < intervalMs) {
      before.left += 1;
      return;
    }
    // Messages may carry a stranger's address; remember a bounded number of them.
    if (last.size > 1000) last.clear();
    last.set(message, { at: now(), left: 0 });
    say(before?.left ? `${message} (and ${before.left} times before)` : message);
  };
}
