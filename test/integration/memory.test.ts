/** What clients make the agent hold, of all connections together: bounded, on the ledger, and at no cost to other targets. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { openAgent } from '../harness/agent-program.ts';
import { openCgroup, openNginx } from '../harness/capture.ts';
import { temporaryDirectory } from '../harness/directory.ts';
import { runLoad } from '../harness/load.ts';
import { sendNumbered } from '../harness/numbered.ts';
import { openPlace } from '../harness/place.ts';
import { idOfLine, parseLines } from '../harness/printed.ts';
import { residentBytes } from '../harness/processes.ts';
import { rootTest } from '../harness/root-test.ts';

const CONNECTIONS = 1500;
/** resources.limits.memory of the agent in the chart, without what limits.maxFlows connections take themselves. */
const LIMIT_BYTES = (448 - 160) * 2 ** 20;
const QUIET_REQUESTS = 400;

/** The server does not come to what stands behind a download that nobody reads. */
const PIPELINED = `GET /10m.bin HTTP/1.1\r\nHost: a\r\n\r\n${'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1000)}`;
const UNFINISHED = `POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n${'x'.repeat(65_000)}`;
const GREED = {
  'pipelined requests behind a download that nobody reads': PIPELINED,
  'uploads that do not end': UNFINISHED,
};

/** Connections that each say `text` and then nothing, until the test ends. */
async function hold(t: ExecutionContext, port: number, text: string): Promise<void> {
  const sockets: Socket[] = [];
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (let n = 0; n < CONNECTIONS; n++) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => {}).pause();
    sockets.push(socket);
    await once(socket, 'connect');
    socket.write(text);
    // As the agent can follow: the ring is not what is tested.
    if (n % 20 === 19) await sleep(50);
  }
}

for (const [greed, text] of Object.entries(GREED)) {
  rootTest(`${CONNECTIONS} connections with ${greed} do not take the agent's memory`, async (t) => {
    const greedy = openCgroup(t, 'room-greedy');
    const quiet = openCgroup(t, 'room-quiet');
    const nginx = await openNginx(t, { cgroup: greedy });
    const other = await openNginx(t, { cgroup: quiet });
    const directory = temporaryDirectory(t);
    const both = join(dirname(quiet.path), `podmirror-room-*-${process.pid}-*`);
    const agent = await openAgent(t, { directory, cgroup: both, name: 'web', processorPort: null });
    const before = residentBytes(agent.pid);
    const sent = sendNumbered(other.port, { requests: QUIET_REQUESTS, pauseMs: 30, prefix: 'quiet' });
    await hold(t, nginx.port, text);
    const ids = await sent;
    const after = residentBytes(agent.pid);

    const { exchanges, closes } = await agent.ledger();
    t.log(`${before >> 20} MiB before, ${after >> 20} MiB after`, exchanges);
    t.true(closes);
    t.true(after < LIMIT_BYTES, `${after} bytes`);
    t.true((exchanges.dropped.connections_full ?? 0) + exchanges.bodiesStripped > 0, 'the bound was met');
    agent.signal('SIGTERM');
    t.is(await agent.ended, 0, agent.stderr());
    const told = parseLines(agent.stdout())
      .map(idOfLine)
      .filter((id) => id.startsWith('quiet'));
    t.deepEqual(told.sort(), ids.sort());
  });
}

rootTest('nor do they with a queue full of small exchanges, when the processor is absent', async (t) => {
  const place = await openPlace(t);
  const agent = await place.openAgent();
  const url = `http://127.0.0.1:${place.nginx.port}/text`;
  const queueFull = async () => ((await agent.ledger()).exchanges.dropped.queue_full ?? 0) > 0;
  for (let round = 0; round < 20 && !(await queueFull()); round++) await runLoad(url, 2);
  t.true(await queueFull());
  const before = residentBytes(agent.pid);
  await hold(t, place.nginx.port, PIPELINED);
  const after = residentBytes(agent.pid);
  const { exchanges, closes } = await agent.ledger();
  t.log(`${before >> 20} MiB before, ${after >> 20} MiB after`, exchanges);
  t.true(closes);
  t.true(after < LIMIT_BYTES, `${after} bytes`);
});
