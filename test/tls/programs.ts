/** The Go programs of the TLS tests, built into the cache once per version of their sources. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runTool } from '../harness/run-tool.ts';

const SOURCES = fileURLToPath(new URL('./programs/', import.meta.url));

export interface Programs {
  /** Load: numbered requests over many connections. */
  client: string;
  /** Server; stripped, as many Go programs in containers are. */
  echo: string;
  /** Looks for secrets in processes and files. */
  memory: string;
}

export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'podmirror');
}

export async function buildPrograms(): Promise<Programs> {
  const folder = join(cacheFolder(), 'tls-programs', digestOf(SOURCES));
  if (!existsSync(folder)) {
    // It gets its name when it is whole.
    const work = `${folder}.${process.pid}`;
    mkdirSync(work, { recursive: true });
    const flags = ['-trimpath', '-buildvcs=false', '-ldflags', '-s -w'];
    await runTool('go', ['build', '-C', SOURCES, ...flags, '-o', work, './client', './echo', './memory']);
    try {
      renameSync(work, folder);
    } catch {
      // Another test file was quicker.
      rmSync(work, { recursive: true });
    }
  }
  return { client: join(folder, 'client'), echo: join(folder, 'echo'), memory: join(folder, 'memory') };
}

function digestOf(folder: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    if (/\.(go|mod)$/.test(name)) hash.update(name).update(readFileSync(join(folder, name)));
  }
  return hash.digest('hex').slice(0, 12);
}
