/** wrk as a load of windows: as fast as it goes. */
import { runTool } from '../harness/run-tool.ts';
import { parseWrk } from './load.ts';
import type { WindowLoad } from './window-load.ts';

export interface WrkWindows {
  url: string;
  connections: number;
  core: number;
}

/** `measure` takes whole seconds, and its warm-up is that of the connections. */
export function wrkWindows({ url, connections, core }: WrkWindows): WindowLoad {
  return {
    async measure(seconds, read) {
      const before = read();
      const { requests, perSecond } = parseWrk(
        await runTool('taskset', [
          '-c',
          String(core),
          'wrk',
          '-t1',
          `-c${connections}`,
          `-d${seconds}s`,
          url,
        ]),
      );
      const after = read();
      const sent = { sent: requests, answered: requests, elapsedMs: (requests / perSecond) * 1000 };
      return { before, after, sent };
    },
    close() {},
  };
}
