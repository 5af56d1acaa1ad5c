// The webhook's log: one line per change of state, never one per admission.
import { createLogger, format, transports } from 'winston';
import { escapeControls } from './admission/warnings.ts';
import type { Log } from './cluster/log.ts';

const line = format.printf(
  ({ timestamp, level, message }) => `${timestamp} ${level.padEnd(5)} ${escapeControls(String(message))}`,
);

export function createLog({ level, style }: { level: string; style: 'text' | 'json' }): Log {
  return createLogger({
    level,
    format: format.combine(format.timestamp(), style === 'json' ? format.json() : line),
    transports: [new transports.Console()],
  });
}
