// An address that leads nowhere: a listener that takes nobody in, with a full queue, so that the kernel drops each SYN.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

const listener = `require('node:net').createServer()
  .listen({ host: '127.0.0.1', port: 0, backlog: 1 }, function () { console.log(this.address().port); })`;

export async function blackHole(): Promise<{ url: string; close(): void }> {
  const child = spawn(process.execPath, ['--eval', listener], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  child.kill('SIGSTOP');
  const port = Number(String(said));
  // Linux takes one more than the backlog says.
  const queued = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
  await Promise.all(queued.map((socket) => once(socket, 'connect')));
  return {
    url: `https://127.0.0.1:${port}`,
    close() {
      for (const socket of queued) socket.on('error', () => {}).destroy();
      child.kill('SIGKILL');
    },
  };
}
