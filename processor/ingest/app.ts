// What agents send: POST /v1/exchanges keeps batches of exchanges (DESIGN 4.5), POST /v1/coverage what an agent sees of its targets.
import type { TLSSocket } from 'node:tls';
import express, { type Express, type Request, type RequestHandler } from 'express';
import type { Agents } from '../coverage/agents.ts';
import { BadReport, maxReportBytes, readReport } from '../coverage/report.ts';
import { answerErrors, methodNotAllowed, notFound, Refusal, type RefusalCode } from '../errors.ts';
import { BadBatch, type Batch, decodeBatch } from '../exchange.ts';
import { type Store, StoreUnavailable } from '../store/store.ts';
import { namesOf } from './agent-name.ts';

export interface IngestOptions {
  store: Pick<Store, 'accept' | 'backlog'>;
  coverage: Pick<Agents, 'take'>;
  maxBatchBytes: number;
  maxBacklogBytes: number;
  /** Names in the client certificate that may send; empty: every certificate of the CA. */
  agents: readonly string[];
  isStopping: () => boolean;
  now: () => number;
  onAccepted: (outcome: 'stored' | 'duplicate', batch: { exchanges: number; bytes: number }) => void;
  onRefused: (code: string, what: 'batch' | 'report') => void;
  onStoreUnavailable: (error: Error) => void;
  onInternal: (error: Error) => void;
}

const batchType = 'application/x-protobuf';
const reportType = 'application/json';
const reportPath = '/v1/coverage';
// A worker clears some hundred exchanges in a second; a full disk wants a person.
const backlogRetrySeconds = 2;
const storeRetrySeconds = 10;

/** 200 `{stored: bool}` only after the batch survives a crash; `{taken: true}` for coverage, which is in memory. */
export function createIngest(options: IngestOptions): Express {
  const { maxBatchBytes, onRefused, onInternal } = options;
  const app = express().disable('x-powered-by').disable('etag');
  app
    .route('/v1/exchanges')
    .post(allowAgent(options), wantType(batchType, 'bad_media_type'), wantRoom(options))
    .post(express.raw({ type: batchType, limit: maxBatchBytes, inflate: false }))
    .post((request, response) => {
      const body: unknown = request.body;
      if (!Buffer.isBuffer(body)) throw new Refusal('bad_batch', { detail: 'the body is empty' });
      response.json({ stored: keep(body, options) === 'stored' });
    })
    .all(methodNotAllowed);
  app
    .route(reportPath)
    // A backlog of batches is no reason to refuse it: then above all somebody looks at the page.
    .post(allowAgent(options), wantType(reportType, 'report_media_type'))
    .post(express.raw({ type: reportType, limit: maxReportBytes, inflate: false }))
    .post((request, response) => {
      takeReport(request, options);
      response.json({ taken: true });
    })
    .all(methodNotAllowed);
  app.use(notFound);
  app.use(((error, request, _response, next) => {
    const isReport = request.path === reportPath;
    const isTooLarge = isReport && error.type === 'entity.too.large';
    const found = isTooLarge ? new Refusal('report_too_large', { cause: error }) : error;
    onRefused(
      found instanceof Refusal ? found.code : (found.type ?? 'internal'),
      isReport ? 'report' : 'batch',
    );
    next(found);
  }) satisfies express.ErrorRequestHandler);
  return app.use(answerErrors(onInternal));
}

function allowAgent({ agents }: IngestOptions): RequestHandler {
  return (request, _response, next) => {
    if (agents.length === 0) return next();
    const names = clientOf(request);
    if (names.some((name) => agents.includes(name))) return next();
    throw new Refusal('agent_unknown', { detail: `it names ${names.join(', ') || 'nobody'}` });
  };
}

const clientOf = (request: Request): string[] => namesOf((request.socket as TLSSocket).getPeerCertificate());

function wantType(mediaType: string, code: RefusalCode): RequestHandler {
  return (request, _response, next) => {
    if (!request.is(mediaType) || request.headers['content-encoding'] !== undefined) throw new Refusal(code);
    next();
  };
}

/** Before the body is read: a sender that has to wait should not have to send. */
function wantRoom({ store, maxBacklogBytes, isStopping }: IngestOptions): RequestHandler {
  return (_request, _response, next) => {
    if (isStopping()) throw new Refusal('stopping', { retryAfterSeconds: backlogRetrySeconds });
    if (store.backlog().bytes >= maxBacklogBytes) {
      throw new Refusal('backlog_full', { retryAfterSeconds: backlogRetrySeconds });
    }
    next();
  };
}

function keep(
  body: Buffer,
  { store, now, onAccepted, onStoreUnavailable }: IngestOptions,
): 'stored' | 'duplicate' {
  const batch = decode(body);
  const exchanges = batch.exchanges.length;
  try {
    const outcome = store.accept({ id: batch.id, body, exchanges, nowMs: now() });
    onAccepted(outcome, { exchanges, bytes: body.length });
    return outcome;
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    onStoreUnavailable(error);
    throw new Refusal('store_unavailable', { retryAfterSeconds: storeRetrySeconds, cause: error });
  }
}

function decode(body: Buffer): Batch {
  try {
    return decodeBatch(body);
  } catch (error) {
    if (!(error instanceof BadBatch)) throw error;
    throw new Refusal('bad_batch', { detail: error.message, cause: error });
  }
}

function takeReport(request: Request, { coverage }: IngestOptions): void {
  const body: unknown = request.body;
  if (!Buffer.isBuffer(body)) throw new Refusal('bad_report', { detail: 'the body is empty' });
  try {
    if (coverage.take(clientOf(request), readReport(body)) === 'full') throw new Refusal('too_many_agents');
  } catch (error) {
    if (!(error instanceof BadReport)) throw error;
    throw new Refusal('bad_report', { detail: error.message, cause: error });
  }
}
