// Every refusal that this processor answers over HTTP, in one table.
import type { ErrorRequestHandler, RequestHandler, Response } from 'express';

export const refusals = {
  bad_batch: { status: 400, message: 'The body is not a batch that can be kept' },
  bad_report: { status: 400, message: 'The body is not coverage as this processor knows it' },
  bad_query: { status: 400, message: 'A query parameter is wrong' },
  unreadable_body: { status: 400, message: 'The body could not be read whole' },
  token_missing: { status: 401, message: 'Send the header Authorization: Bearer <token>' },
  token_wrong: {
    status: 401,
    message: 'This token is not known. Take the one in the processor configuration (api.token)',
  },
  agent_unknown: { status: 403, message: 'The client certificate names no agent in ingest.agents' },
  not_found: { status: 404, message: 'There is nothing here' },
  agent_not_found: { status: 404, message: 'No such agent has told its coverage for a day' },
  attack_not_found: { status: 404, message: 'There is no such attack, or it is older than what is kept' },
  method_not_allowed: { status: 405, message: 'This path takes another method' },
  too_large: { status: 413, message: 'The batch is larger than ingest.maxBatchBytes. Send smaller batches' },
  report_too_large: { status: 413, message: 'Coverage is more than 1 MiB. Send fewer processes' },
  bad_media_type: {
    status: 415,
    message: 'Send Content-Type: application/x-protobuf without Content-Encoding',
  },
  report_media_type: {
    status: 415,
    message: 'Send Content-Type: application/json without Content-Encoding',
  },
  too_many_agents: {
    status: 429,
    message: 'This processor keeps the coverage of no more agents. Nothing else is affected',
  },
  backlog_full: {
    status: 429,
    message: 'More batches wait for inspection than ingest.maxBacklogBytes allows',
  },
  internal: { status: 500, message: 'The processor made a mistake; its log says more' },
  stopping: { status: 503, message: 'The processor is stopping' },
  store_unavailable: {
    status: 503,
    message: 'The store does not take writes; the log of the processor says why',
  },
} as const;

export type RefusalCode = keyof typeof refusals;

/** Becomes `{error: {code, message, detail?}}` with the status of its row. */
export class Refusal extends Error {
  readonly code: RefusalCode;
  readonly detail: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: RefusalCode,
    options: { detail?: string; retryAfterSeconds?: number; cause?: unknown } = {},
  ) {
    super(refusals[code].message, { cause: options.cause });
    this.code = code;
    this.detail = options.detail;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

export const notFound: RequestHandler = () => {
  throw new Refusal('not_found');
};

export const methodNotAllowed: RequestHandler = () => {
  throw new Refusal('method_not_allowed');
};

/** `onInternal` hears of errors that are no refusal: our mistakes. */
export function answerErrors(onInternal: (error: Error) => void): ErrorRequestHandler {
  return (error, _request, response, next) => {
    if (response.headersSent) return next(error);
    const refusal = toRefusal(error);
    if (refusal.code === 'internal') onInternal(error);
    answerRefusal(response, refusal);
  };
}

function answerRefusal(response: Response, { code, detail, retryAfterSeconds }: Refusal): void {
  const { status, message } = refusals[code];
  if (status === 401) response.set('WWW-Authenticate', 'Bearer');
  if (retryAfterSeconds !== undefined) response.set('Retry-After', String(retryAfterSeconds));
  response.status(status).json({ error: { code, message, ...(detail !== undefined && { detail }) } });
}

// What body-parser calls its errors: https://github.com/expressjs/body-parser#errors
const bodyErrors: Record<string, RefusalCode> = {
  'entity.too.large': 'too_large',
  'encoding.unsupported': 'bad_media_type',
  'request.aborted': 'unreadable_body',
  'request.size.invalid': 'unreadable_body',
};

function toRefusal(error: Error & { type?: string; status?: number }): Refusal {
  if (error instanceof Refusal) return error;
  const code = bodyErrors[error.type ?? ''] ?? (error.status === 400 ? 'bad_query' : 'internal');
  return new Refusal(code, { cause: error });
}
