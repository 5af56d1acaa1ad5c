// The agent's log: one line per change of state, on stderr, never one per request.
import { createLogger, format, transports } from 'winston';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface Log {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

// C0 and C1 controls, and the two Unicode line ends.
const controls = /[\p{Cc}\u2028\u2029]/gu;

/** Names of cgroups and answers of servers come from strangers: what would move the cursor is shown escaped. */
export function escapeControls(text: string): string {
  return text.replace(controls, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const line = format.printf(
  ({ timestamp, level, message }) => `${timestamp} ${level.padEnd(5)} ${escapeControls(String(message))}`,
);

export function createLog({ level, style }: { level: LogLevel; style: 'text' | 'json' }): Log {
  return createLogger({
    level,
    format: format.combine(format.timestamp(), style === 'json' ? format.json() : line),
    // stdout belongs to the exchanges of --print.
    transports: [new transports.Console({ stderrLevels: ['debug', 'info', 'warn', 'error'] })],
  });
}
