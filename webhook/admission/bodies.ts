// What an admission body may be, before it is read.
import express, { type RequestHandler } from 'express';
import { HttpRefusal } from './refusal.ts';

// An UPDATE review holds the object twice; 3 MB were seen, and etcd takes objects up to 1.5 MiB by default.
export const maxBodyBytes = 7 * 1024 * 1024;
// Whoever reaches the port may send bodies; as objects they take several times as much.
export const maxHeldBytes = 64 * 1024 * 1024;

/** Content-Type, room and size are looked at before the body is read. */
export function readBody(): RequestHandler[] {
  return [wantJson, wantRoom(), express.json({ limit: maxBodyBytes, inflate: false, type: () => true })];
}

const wantJson: RequestHandler = (request, _response, next) => {
  // null: no body at all; that is said when the review is read.
  if (request.is('application/json') === false) throw new HttpRefusal(415);
  next();
};

function wantRoom(): RequestHandler {
  let heldBytes = 0;
  return (request, response, next) => {
    // The API server always says how much it sends.
    const bytes = Math.min(Number(request.headers['content-length'] ?? maxBodyBytes), maxBodyBytes);
    if (heldBytes + bytes > maxHeldBytes) throw new HttpRefusal(503);
    heldBytes += bytes;
    response.once('close', () => {
      heldBytes -= bytes;
    });
    next();
  };
}
