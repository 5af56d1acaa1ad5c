/** `run.ts ADDRESS COMMAND…`: runs it in the guest there. What it writes is written here, its exit code is ours, and SIGTERM ends it. */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { line, PORT, type Word } from './commands.ts';

const [address = '', ...command] = process.argv.slice(2);
const { PATH, LD_LIBRARY_PATH } = process.env;
const socket = connect(PORT, address);
process.exitCode = 255;
socket.once('error', ({ message }) => process.stderr.write(`run a command in ${address}: ${message}\n`));
socket.write(line({ command, env: { PATH, LD_LIBRARY_PATH } }));
createInterface({ input: socket }).on('line', (text) => {
  const word = JSON.parse(text) as Word;
  if ('stdout' in word) process.stdout.write(word.stdout);
  else if ('stderr' in word) process.stderr.write(word.stderr);
  else process.exitCode = word.code;
});
process.once('SIGTERM', () => socket.end());
