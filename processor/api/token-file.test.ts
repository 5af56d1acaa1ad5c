import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { readTokenFile } from './token-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'podmirror-token-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const log = (said: string[] = []) => ({ info: (message: string) => void said.push(message) });

test('a token is made once, for this user alone, and told where but not what', (t) => {
  const [file, said] = [join(folder, 'made'), [] as string[]];
  const token = readTokenFile(file, log(said));
  t.regex(token, /^[0-9a-f]{48}$/);
  t.is(statSync(file).mode & 0o777, 0o600);
  t.is(readTokenFile(file, log(said)), token);
  t.is(said.length, 1);
  t.false(said.join().includes(token));
});

test('a token that somebody wrote is taken without the end of its line', (t) => {
  const file = join(folder, 'written');
  writeFileSync(file, 'a token of somebody\n');
  t.is(readTokenFile(file, log()), 'a token of somebody');
});

test('a short token is refused, and not told', (t) => {
  const file = join(folder, 'short');
  writeFileSync(file, 'sesame\n');
  const { message } = t.throws(() => readTokenFile(file, log())) as Error;
  t.regex(message, /short: it is less than 16 characters\. Write 16 or more/);
  t.false(message.includes('sesame'));
});

test('a file that cannot be read or made is told with what to write', (t) => {
  t.throws(() => readTokenFile(folder, log()), { message: /EISDIR.*\. Write the path of a file/ });
  t.throws(() => readTokenFile(join(folder, 'no', 'token'), log()), { message: /ENOENT.*\. Write the path/ });
});

test('what a start that was killed left of a token does not stop the next one', (t) => {
  const file = join(folder, 'killed');
  writeFileSync(`${file}.new`, '');
  t.regex(readTokenFile(file, log()), /^[0-9a-f]{48}$/);
  t.false(existsSync(`${file}.new`));
});
