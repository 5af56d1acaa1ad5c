// What watches say of the API server, with what it means for this node: once when one of them loses it, once when it is back.
import type { Log } from '../log.ts';

export interface TroubleLog extends Log {
  /** What stands in the way of each watch that tries again; undefined: of none. */
  trouble(): string | undefined;
}

const roleRemedy =
  'Let the ServiceAccount list and watch pods, and in its namespace the ConfigMaps podmirror-intent, podmirror-intent-1 … -7';
// As `webhook/cluster/watcher.ts` words them. Only what will be tried again is followed by word of its end.
const begins = /^([^:]+): .*; again in \d+ ms$/s;
const ends = /^([^:]+): the API server answers again$/;

/** For watchers, each by the name before its colon: one that fails for long says so once, whatever the others met. */
export function createTroubleLog(log: Log): TroubleLog {
  const troubles = new Map<string, string>();
  return {
    debug: (message) => log.debug(message),
    info(message) {
      const watch = ends.exec(message)?.[1];
      if (watch === undefined) return log.info(message);
      if (troubles.delete(watch)) log.info(`${message}: what is asked for is followed again`);
    },
    warn(message) {
      const watch = begins.exec(message)?.[1];
      if (watch === undefined) return log.warn(message);
      const isKnown = troubles.has(watch);
      troubles.set(watch, message);
      if (isKnown) return log.debug(message);
      const remedy = / 403 /.test(message) ? `. ${roleRemedy}` : '';
      log.warn(`${message}. What is mirrored stays so, and nothing new is taken until it answers${remedy}`);
    },
    error: (message) => log.error(message),
    trouble: () => (troubles.size === 0 ? undefined : [...troubles.values()].join('; ')),
  };
}
