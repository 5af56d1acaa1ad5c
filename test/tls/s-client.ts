/** `openssl s_client` as a peer: it can do to a session what other clients cannot. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { killAtExit } from '../harness/last-resort.ts';
import { until } from '../harness/until.ts';
import { type NumberedRequest, requestText } from './numbered.ts';

/**
 * One act of a session: a request whose answer is awaited, one whose body is held back while `then` happens, a command of
 * s_client (`k` updates our keys, `K` asks the server for the same, `R` renegotiates), or a request that is only sent.
 */
export type Act =
  | { request: NumberedRequest; between?: Command[] }
  | { command: Command }
  | { unanswered: NumberedRequest };

export type Command = 'k' | 'K' | 'R';

export interface SessionOptions {
  port: number;
  /** Of s_client. */
  args?: readonly string[];
  acts?: readonly Act[];
  /** Its answer is awaited first: sent by s_client itself, as early data. */
  early?: NumberedRequest;
}

/** Runs a session to its end and returns what s_client said. Throws when an answer does not come. */
export async function runSession({ port, args = [], acts = [], early }: SessionOptions): Promise<string> {
  const child = spawn(
    'openssl',
    ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'shop.example', ...args],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  );
  const forget = killAtExit(child.pid);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('latin1').on('data', (text: string) => {
      output += text;
    });
  }
  // A server that ends the session takes what is still written with it.
  child.stdin.on('error', () => {});
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const answered = async ({ id, status }: NumberedRequest) => {
    const answer = new RegExp(`^HTTP/1\\.1 ${status} [^]*?^X-Id: ${id}\r$`, 'm');
    const came = await until(() => answer.test(output) || child.exitCode !== null, { timeoutMs: 10_000 });
    if (!came || !answer.test(output))
      throw new Error(`openssl s_client: no answer to ${id}:\n${output.slice(-2000)}`);
  };
  let updates = 0;
  // A command is known by being the first byte that a read of stdin returns.
  const write = async (text: string) => {
    child.stdin.write(text);
    await sleep(50);
  };
  const command = async (name: Command) => {
    await write(`${name}\n`);
    if (name === 'R') return;
    updates += 1;
    const done = await until(() => (output.match(/^KEYUPDATE/gm)?.length ?? 0) >= updates);
    if (!done) throw new Error(`openssl s_client: no key update:\n${output.slice(-2000)}`);
  };
  try {
    // What is written earlier is read as one, commands too.
    await until(() => /Verify return code/.test(output) || child.exitCode !== null, { timeoutMs: 10_000 });
    if (early) await answered(early);
    for (const act of acts) {
      if ('command' in act) await command(act.command);
      else if ('unanswered' in act) await write(requestText(act.unanswered));
      else {
        const text = requestText(act.request);
        const half = act.between ? text.length - Math.ceil(act.request.body.length / 2) : text.length;
        await write(text.slice(0, half));
        for (const name of act.between ?? []) await command(name);
        if (half < text.length) await write(text.slice(half));
        await answered(act.request);
      }
    }
  } finally {
    child.stdin.end();
    const ended = await Promise.race([closed.then(() => true), sleep(2000, false)]);
    if (!ended) child.kill('SIGKILL');
    await closed;
    forget();
  }
  return output;
}
