// The token of the API in a file of its own, for those who set none: made once, and then the same at every start.
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

const leastCharacters = 16;

/**
 * The text of `file` without blanks around it; when there is no such file, 48 hex digits that only this user may read.
 * Throws `token <file>: <what is wrong>. <what to write instead>`.
 */
export function readTokenFile(file: string, log: { info(message: string): void }): string {
  const token = read(file) ?? make(file, log);
  if (token.length < leastCharacters) {
    const advice = `Write ${leastCharacters} or more, or remove the file, and a token is made`;
    throw new Error(`token ${file}: it is less than ${leastCharacters} characters. ${advice}`);
  }
  return token;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    const advice = 'Write the path of a file that this user may read in api.tokenFile';
    throw new Error(`token ${file}: ${(cause as Error).message}. ${advice}`, { cause });
  }
}

function make(file: string, log: { info(message: string): void }): string {
  const token = randomBytes(24).toString('hex');
  // Whole or not at all: half a token, of a start that was killed or of a full disk, would stop every later start.
  const draft = `${file}.new`;
  try {
    writeFileSync(draft, `${token}\n`, { mode: 0o600, flush: true });
    // Unlike a rename, it never takes the place of a file that came meanwhile.
    linkSync(draft, file);
  } catch (cause) {
    const advice = 'Write the path of a file in a folder that this user may write to in api.tokenFile';
    throw new Error(`token ${file}: ${(cause as Error).message}. ${advice}`, { cause });
  } finally {
    rmSync(draft, { force: true });
  }
  log.info(`a token for the API and the page was made: it is in ${file}`);
  return token;
}
