/** A cluster for people: `up` leaves one running, `down` takes it away, `env` prints what a shell wants to know of it. */
import { down } from './down.ts';
import { hold } from './hold.ts';
import { shellLines, whereabouts } from './standing.ts';
import { up } from './up.ts';

const USAGE = 'usage: main.ts up|down|env\n';
const [verb, ...names] = process.argv.slice(2);

process.exitCode = await run().catch((error: unknown) => {
  process.stderr.write(`cluster: ${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
});

async function run(): Promise<number> {
  switch (verb) {
    case 'up':
      return up();
    case 'hold':
      return hold();
    case 'down':
      return down(names);
    case 'env': {
      const standing = whereabouts();
      if (!standing) throw new Error('none is running here. Start one with: make cluster');
      process.stdout.write(shellLines(standing));
      return 0;
    }
    default:
      process.stderr.write(USAGE);
      return 64;
  }
}
