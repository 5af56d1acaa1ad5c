/** How bytes are put on the wire: at once, in random slices, or one by one. */
import type { Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Random } from './random.ts';

export type Delivery = 'whole' | 'slices' | 'bytes';

// A body dribbled to its last byte would take minutes; the head and the first bytes hold every boundary.
const MOST_SINGLE_BYTES = 1500;
const LONGEST_SLICE = 400;
const PAUSES = 0.15;

/** Needs TCP_NODELAY, so that each piece becomes a segment. */
export async function deliver(socket: Socket, bytes: Buffer, how: Delivery, random: Random): Promise<void> {
  if (how === 'whole') return write(socket, bytes);
  let sent = 0;
  while (sent < bytes.length) {
    const single = how === 'bytes' && sent < MOST_SINGLE_BYTES;
    // Slices grow with a long body, so that it takes tens of pieces and not thousands.
    const longest = Math.max(LONGEST_SLICE, Math.floor(bytes.length / 30));
    const length = single ? 1 : random.between(1, longest);
    await write(socket, bytes.subarray(sent, sent + length));
    sent += length;
    // A turn is enough to part segments; a pause now and then lets the server read part of a message.
    if (random.chance(PAUSES)) await sleep(random.between(0, 3));
    else await nextTurn();
  }
}

function write(socket: Socket, bytes: Buffer): Promise<void> | void {
  if (bytes.length === 0 || socket.destroyed) return;
  if (socket.write(bytes)) return;
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.once('drain', done).once('close', done);
  });
}
