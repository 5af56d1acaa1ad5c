/** `node paced-client.ts <port> <requests per second> <seconds>`: ends with one line of JSON: what was sent, answered, and how long it took. */
import { openPacedLoad } from './paced-load.ts';

const [port = 0, rate = 0, seconds = 0] = process.argv.slice(2).map(Number);
const load = await openPacedLoad({ port, rate });
const { sent, answered, elapsedMs } = await load.send(seconds);
load.close();
// The one that was asked first is in the log and among the exchanges too.
process.stdout.write(`${JSON.stringify({ sent: sent + 1, answered: answered + 1, elapsedMs })}\n`);
