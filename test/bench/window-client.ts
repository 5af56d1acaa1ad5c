/**
 * `node window-client.ts <PacedLoadOptions as JSON>`, with an IPC channel: for each message `{warmUp, seconds}` it opens
 * connections anew, sends for so long, says `begin`, waits for `go`, sends for `seconds`, and tells what it sent. Nothing
 * is under way as it says either, so that what nginx has used by then belongs to these requests and no others.
 */
import { setPriority } from 'node:os';
import { openPacedLoad, type PacedLoadOptions } from './paced-load.ts';

// The agent runs on this core too, and must not make the requests come differently.
setPriority(-20);
const options = JSON.parse(process.argv[2] ?? '') as PacedLoadOptions;

process.on('message', (message: 'go' | { warmUp: number; seconds: number }) => {
  if (message === 'go') return;
  void window(message);
});
process.once('disconnect', () => process.exit());
process.send?.('ready');

async function window({ warmUp, seconds }: { warmUp: number; seconds: number }): Promise<void> {
  const load = await openPacedLoad(options);
  await load.send(warmUp);
  const go = new Promise((resolve) => process.once('message', resolve));
  process.send?.('begin');
  await go;
  process.send?.(await load.send(seconds));
  load.close();
}
