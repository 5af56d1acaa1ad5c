// Requests that are no readable review, and our own mistakes: plain text with an HTTP status, failurePolicy decides.
import type { ErrorRequestHandler, RequestHandler } from 'express';

const sentences = {
  400: 'The body could not be read. Send an AdmissionReview of admission.k8s.io/v1 as JSON',
  404: 'There is nothing here. Write the path /mutate or /validate in the webhook configuration',
  405: 'This path takes POST only',
  408: 'The review did not arrive in time. Try again',
  413: 'The review is larger than 7 MiB, or of more than 500,000 blocks and lists. Make the object smaller, or exclude it in the webhook configuration',
  415: 'Send Content-Type: application/json in UTF-8 without Content-Encoding',
  500: 'podmirror made a mistake; its log says more',
  503: 'Too many reviews are being read. Try again',
} as const;

export type RefusalStatus = keyof typeof sentences;

export class HttpRefusal extends Error {
  readonly status: RefusalStatus;

  constructor(status: RefusalStatus, detail?: string) {
    super(detail ?? sentences[status]);
    this.name = 'HttpRefusal';
    this.status = status;
  }
}

export const notFound: RequestHandler = () => {
  throw new HttpRefusal(404);
};

export const methodNotAllowed: RequestHandler = () => {
  throw new HttpRefusal(405);
};

/** `onMistake` hears of errors that are no refusal. */
export function answerErrors(onMistake: (error: Error) => void): ErrorRequestHandler {
  return (error, _request, response, next) => {
    if (response.headersSent) return next(error);
    const refusal = error instanceof HttpRefusal ? error : new HttpRefusal(500);
    if (refusal.status === 500) onMistake(error);
    response.status(refusal.status).type('text/plain').send(`${refusal.message}\n`);
  };
}
