// Requests that are no readable review, and our own mistakes: plain text with an HTTP status, failurePolicy decides.
import type { ErrorRequestHandler, RequestHandler } from 'express';

const sentences = {
  400: 'The body could not be read. Send an AdmissionReview of admission.k8s.io/v1 as JSON',
  404: 'There is nothing here. Write the path /mutate or /validate in the webhook configuration',
  405: 'This path takes POST only',
  413: 'The review is larger than 7 MiB. Make the object smaller, or exclude it in the webhook configuration',
  415: 'Send Content-Type: application/json in UTF-8 without Content-Encoding',
  500: 'podmirror made a mistake; its log says more',
  503: 'Too many large reviews are being read. Try again',
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
    const refusal = refusalOf(error);
    if (refusal.status === 500) onMistake(error);
    response.status(refusal.status).type('text/plain').send(`${refusal.message}\n`);
  };
}

// What body-parser calls its errors: https://github.com/expressjs/body-parser#errors
const bodyErrors: Record<string, RefusalStatus> = {
  'charset.unsupported': 415,
  'encoding.unsupported': 415,
  'entity.parse.failed': 400,
  'entity.too.large': 413,
  'request.aborted': 400,
  'request.size.invalid': 400,
};

function refusalOf(error: Error & { type?: string }): HttpRefusal {
  if (error instanceof HttpRefusal) return error;
  return new HttpRefusal(bodyErrors[error.type ?? ''] ?? 500);
}
