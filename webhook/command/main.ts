// The process of podmirror: files, standard input, the connection, the exit code. The only file here with side effects.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { createApi } from '../cluster/api.ts';
import { systemClock } from '../cluster/clock.ts';
import { findConnection } from '../cluster/connection.ts';
import { escapeInvisible } from '../intent/show.ts';
import { exitCodes, Refusal } from '../refusal.ts';
import { kubeconfigFile } from './kubeconfig.ts';
import { type CommandDeps, runCommand } from './run.ts';

const deps: CommandDeps = {
  version: version(),
  readText: (file) => readFileSync(file === '-' ? 0 : file, 'utf8'),
  async connect({ kubeconfig, context }) {
    try {
      const env = process.env;
      const file = kubeconfigFile({ flag: kubeconfig, env, home: homedir(), exists: existsSync });
      const connection = await findConnection({
        env,
        clock: systemClock,
        kubeconfig: file,
        context,
      });
      return { api: createApi({ connection, userAgent: 'podmirror' }), close: connection.close };
    } catch (cause) {
      throw new Refusal(`connect: ${(cause as Error).message}`, exitCodes.config, { cause });
    }
  },
};

function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

// Who reads has had enough: `podmirror … | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  const { output, exitCode } = await runCommand(process.argv.slice(2), deps);
  process.exitCode = exitCode;
  process.stdout.write(output);
} catch (error) {
  const refused = error instanceof Refusal;
  const message = refused ? error.message : ((error as Error).stack ?? String(error));
  // Servers and files have a say in it.
  process.stderr.write(`podmirror: ${message.split('\n').map(escapeInvisible).join('\n')}\n`);
  process.exitCode = refused ? error.exitCode : exitCodes.software;
}
