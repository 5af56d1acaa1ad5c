import { z } from 'zod';

const statusShape = z.object({
  reason: z.string().catch(''),
  message: z.string().catch(''),
  code: z.number().optional().catch(undefined),
  details: z
    .object({ retryAfterSeconds: z.number().min(0).optional().catch(undefined) })
    .optional()
    .catch(undefined),
});

/** The API server's own "no". */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly status: number;
  /** The word in metav1.Status: NotFound, AlreadyExists, Conflict, Expired, TooManyRequests … or ''. */
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor(what: string, status: number, reason: string, message: string, retryAfterMs?: number) {
    super(`${what}: ${status}${reason && ` ${reason}`}${message && `: ${message.slice(0, 500)}`}`);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Nothing came in time, or nothing more. */
export class TimeoutError extends Error {
  override name = 'TimeoutError';
}

/** An answer or a line that is larger than anything we asked for. */
export class TooLargeError extends Error {
  override name = 'TooLargeError';
}

/** From a metav1.Status, as an answer's body or as the object of an ERROR event; `status` 0: take the object's. */
export function statusError(what: string, status: number, body: unknown, retryAfterMs?: number): ApiError {
  const { data } = statusShape.safeParse(body);
  const asked = data?.details?.retryAfterSeconds;
  return new ApiError(
    what,
    status || data?.code || 500,
    data?.reason ?? '',
    data?.message ?? '',
    retryAfterMs ?? (asked === undefined ? undefined : asked * 1000),
  );
}

export const isStatus = (error: unknown, status: number): boolean =>
  error instanceof ApiError && error.status === status;

/** Our resourceVersion or continue token is too old. */
export const isGone = (error: unknown): boolean =>
  error instanceof ApiError &&
  (error.status === 410 || error.reason === 'Expired' || error.reason === 'Gone');

/** Seconds only: the API server sends no dates. */
export function retryAfterMs(header: string | undefined): number | undefined {
  return header !== undefined && /^\s*\d{1,9}\s*$/.test(header) ? Number(header) * 1000 : undefined;
}
