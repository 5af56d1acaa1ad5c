// Several watches lose the API server at the same moment: a person is told once, and once when it is back.
import type { Log } from '../log.ts';

export interface TroubleLog extends Log {
  trouble(): string | undefined;
}

const roleRemedy =
  'Let the ServiceAccount list and watch pods, and in its namespace the ConfigMaps podmirror-intent, podmirror-intent-1 … -7';
const back = /: the API server answers again$/;

/** For watchers: their warnings become one, with what it means for this node. */
export function createTroubleLog(log: Log): TroubleLog {
  let trouble: string | undefined;
  return {
    debug: (message) => log.debug(message),
    info(message) {
      if (!back.test(message)) return log.info(message);
      if (trouble !== undefined)
        log.info('the API server answers again: what is asked for is followed again');
      trouble = undefined;
    },
    warn(message) {
      if (trouble !== undefined) return log.debug(message);
      trouble = message;
      const remedy = / 403 /.test(message) ? `. ${roleRemedy}` : '';
      log.warn(`${message}. What is mirrored stays so, and nothing new is taken until it answers${remedy}`);
    },
    error: (message) => log.error(message),
    trouble: () => trouble,
  };
}
