/** A raw HTTP/1 client that sends exactly the bytes it was told to, and says what it got. */
import { connect, type Socket } from 'node:net';
import { type Delivery, deliver } from './delivery.ts';
import type { Random } from './random.ts';
import { encodeRequest, type PlannedRequest } from './request.ts';
import { type ReadResponse, type ResponseReader, readResponses } from './response-reader.ts';

export interface PlannedConnection {
  host: '127.0.0.1' | '::1';
  delivery: Delivery;
  /** Requests of a group are pipelined: all written before the first response is read. */
  groups: readonly (readonly PlannedRequest[])[];
  /** Close the sending side with the last request. */
  halfClose: boolean;
}

/** A request that was sent, with what came back. */
export interface Sent {
  request: PlannedRequest;
  response: ReadResponse;
  /** False: the server answered before the body, which was then kept back. */
  bodySent: boolean;
}

const SILENCE_MS = 20_000;
// What passes after 101 looks like HTTP on purpose: it must not be taken for it.
const AFTER_UPGRADE = Buffer.from('GET /not-a-request HTTP/1.1\r\nX-Id: tunnelled\r\n\r\n');

/** Runs one connection to its end. Throws when the server closes early or is silent. */
export async function runConnection(plan: PlannedConnection, port: number, random: Random): Promise<Sent[]> {
  const socket = connect({ host: plan.host, port, noDelay: true, allowHalfOpen: true });
  socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error(`no answer in ${SILENCE_MS} ms`)));
  const reader = readResponses(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve).once('error', reject);
  });
  const sent: Sent[] = [];
  try {
    for (const [index, group] of plan.groups.entries()) {
      const closing = plan.halfClose && index === plan.groups.length - 1;
      sent.push(...(await runGroup({ group, socket, reader, random, closing, delivery: plan.delivery })));
    }
    return sent;
  } catch (cause) {
    const ids = plan.groups.flat().map(({ id, kind }) => `${id} ${kind}`);
    throw new Error(`connection stopped after ${sent.length} of: ${ids.join(', ')}`, { cause });
  } finally {
    socket.end();
    socket.destroySoon();
  }
}

interface Turn {
  group: readonly PlannedRequest[];
  socket: Socket;
  reader: ResponseReader;
  random: Random;
  delivery: Delivery;
  closing: boolean;
}

async function runGroup({ group, socket, reader, random, delivery, closing }: Turn): Promise<Sent[]> {
  const first = group[0];
  if (first && group.length === 1 && first.expect !== null) {
    return [await runExpecting(first, { socket, reader, random, delivery })];
  }
  const bytes = group.map(encodeRequest).flatMap(({ head, body }) => [head, body]);
  // Written while reading: a server that answers early must not find its client deaf.
  const writing = deliver(socket, Buffer.concat(bytes), delivery, random).then(() => {
    if (closing) socket.end();
  });
  const sent: Sent[] = [];
  for (const request of group) {
    sent.push({ request, response: await finalResponse(reader, request), bodySent: true });
  }
  await writing;
  if (sent.at(-1)?.response.status === 101) await tunnel(socket, reader);
  return sent;
}

async function runExpecting(
  request: PlannedRequest,
  { socket, reader, random, delivery }: Omit<Turn, 'group' | 'closing'>,
): Promise<Sent> {
  const { head, body } = encodeRequest(request);
  await deliver(socket, head, delivery, random);
  if (request.expect === 'wait') {
    const answer = await reader.next(request.method);
    if (answer.status !== 100) return { request, response: answer, bodySent: false };
  }
  await deliver(socket, body, delivery, random);
  return { request, response: await finalResponse(reader, request), bodySent: true };
}

async function finalResponse(reader: ResponseReader, request: PlannedRequest): Promise<ReadResponse> {
  for (;;) {
    const response = await reader.next(request.method);
    if (response.status >= 200 || response.status === 101) return response;
  }
}

async function tunnel(socket: Socket, reader: ResponseReader): Promise<void> {
  socket.write(AFTER_UPGRADE);
  const echo = await reader.raw(AFTER_UPGRADE.length);
  if (!echo.equals(AFTER_UPGRADE)) throw new Error('the tunnel after 101 does not echo');
}
