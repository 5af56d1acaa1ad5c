// Reading the body of an admission review. Whoever reaches the port may send some, fast or slowly, so what counts is
// what has arrived, not what was announced.
import type { RequestHandler } from 'express';
import { createGrowingBuffer, type GrowingBuffer } from './growing-buffer.ts';
import { HttpRefusal, type RefusalStatus } from './refusal.ts';
import { createRoom, type Room } from './room.ts';
import { createTurns, type Turns } from './turns.ts';

// An UPDATE review holds the object twice; 3 MB were seen, and etcd takes objects up to 1.5 MiB by default.
export const maxBodyBytes = 7 * 1024 * 1024;
// As an object, `{}` takes 56 bytes: 7 MiB of them would be 300 MiB. Of real objects, managedFields have most, one block in
// about 20 bytes.
export const maxBlocks = 500_000;
// Nearly all reviews are smaller, most are of some 10 KiB: these are read as they come.
export const maxSmallBytes = 512 * 1024;
// All small bodies that are under way: 2,000 of the usual ones.
export const maxHeldBytes = 32 * 1024 * 1024;
// Of the others, one more than one, so that somebody slow does not stop them all.
const largeAtOnce = 2;
export const maxLargeWaiting = 16;
// As long as the API server waits for any of our webhooks.
const defaultLargeMs = 5000;

export interface BodyLimits {
  /** From its turn on, a large body has this long to arrive. */
  largeMs?: number;
}

/** Leaves the parsed JSON in `request.body`, or undefined for no body. */
export function readBody({ largeMs = defaultLargeMs }: BodyLimits = {}): RequestHandler[] {
  const room = createRoom(maxHeldBytes);
  const turns = createTurns({ atOnce: largeAtOnce, maxWaiting: maxLargeWaiting });
  return [wantJson, collect({ room, turns, largeMs })];
}

const wantJson: RequestHandler = (request, _response, next) => {
  const {
    'content-type': type = '',
    'content-encoding': encoding = 'identity',
    'content-length': length,
  } = request.headers;
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(type) ?? [];
  // null: no body at all; that is said when the review is read.
  const isJson = request.is('application/json') !== false;
  if (!isJson || encoding !== 'identity' || charset.toLowerCase() !== 'utf-8') throw new HttpRefusal(415);
  if (Number(length) > maxBodyBytes) throw new HttpRefusal(413);
  next();
};

function collect({ room, turns, largeMs }: { room: Room; turns: Turns; largeMs: number }): RequestHandler {
  return (request, response, next) => {
    let held: GrowingBuffer | undefined = createGrowingBuffer();
    let endTurn: (() => void) | undefined;
    let timer: NodeJS.Timeout | undefined;

    const take = (chunk: Buffer) => {
      if (held === undefined) return;
      const grown = held.add(chunk);
      if (held.length() > maxBodyBytes) refuse(413);
      else if (held.length() <= maxSmallBytes) room.add(evict, grown);
      else if (endTurn === undefined) waitForTurn();
    };
    const waitForTurn = () => {
      room.leave(evict);
      request.pause();
      const end = turns.take(() => {
        timer = setTimeout(refuse, largeMs, 408);
        request.resume();
      });
      if (end) endTurn = end;
      else refuse(503);
    };
    const parse = () => {
      const text = held?.toString() ?? '';
      held = undefined;
      if (text.length > maxSmallBytes && blocksIn(text) > maxBlocks) return refuse(413);
      try {
        request.body = text === '' ? undefined : JSON.parse(text);
      } catch {
        return refuse(400);
      }
      // The turn lasts until the object has been decided about, which happens before next() returns.
      next();
      leave();
    };
    const leave = () => {
      held = undefined;
      request.off('data', take).off('end', parse);
      response.off('close', leave);
      clearTimeout(timer);
      room.leave(evict);
      endTurn?.();
    };
    const refuse = (status: RefusalStatus) => {
      leave();
      // What still comes is thrown away, until the server's requestTimeout.
      request.resume();
      next(new HttpRefusal(status));
    };
    const evict = () => refuse(503);

    request.on('data', take).on('end', parse);
    response.on('close', leave);
  };
}

/** At least as many as JSON.parse would make; brackets inside of texts are counted too. */
function blocksIn(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === openBrace || unit === openBracket) count++;
  }
  return count;
}

const [openBrace, openBracket] = [0x7b, 0x5b];
