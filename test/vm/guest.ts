/** `guest.ts ADDRESS`: in a guest, runs commands for its host, which is alone with it in its network. */
import { spawn } from 'node:child_process';
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { line, type Order, PORT } from './commands.ts';

createServer({ allowHalfOpen: true }, serve).listen(PORT, process.argv[2]);

function serve(socket: Socket): void {
  socket.on('error', () => socket.destroy());
  createInterface({ input: socket }).once('line', (text) => run(JSON.parse(text) as Order, socket));
}

function run({ command: [file = '', ...args], env }: Order, socket: Socket): void {
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.setEncoding('utf8').on('data', (stdout: string) => socket.write(line({ stdout })));
  child.stderr.setEncoding('utf8').on('data', (stderr: string) => socket.write(line({ stderr })));
  child.once('error', ({ message }) => socket.end(line({ stderr: `${message}\n` }) + line({ code: 127 })));
  child.once('close', (code) => socket.writable && socket.end(line({ code: code ?? 255 })));
  socket.once('end', () => child.kill()).once('close', () => child.kill());
}
