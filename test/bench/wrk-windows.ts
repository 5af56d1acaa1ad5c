/** wrk as a load of windows: as fast as it goes, over TLS. */
import { runTool } from '../harness/run-tool.ts';
import { parseWrk } from './load.ts';
import type { WindowLoad } from './window-load.ts';

export interface WrkWindows {
  url: string;
  connections: number;
  /** A handshake for each request. */
  newConnections: boolean;
  core: number;
}

export function wrkWindows({ url, connections, newConnections, core }: WrkWindows): WindowLoad {
  const wrk = (seconds: number) =>
    runTool('taskset', [
      '-c',
      String(core),
      'wrk',
      '-t1',
      `-c${connections}`,
      `-d${seconds}s`,
      ...(newConnections ? ['-H', 'Connection: close'] : []),
      url,
    ]).then(parseWrk);
  return {
    async measure(seconds, read) {
      const before = read();
      const { requests, perSecond } = await wrk(seconds);
      const after = read();
      const sent = { sent: requests, answered: requests, elapsedMs: (requests / perSecond) * 1000 };
      return { before, after, sent };
    },
    close() {},
  };
}
