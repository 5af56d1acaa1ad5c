// The express app that the API server calls: POST /mutate and /validate.
import { performance } from 'node:perf_hooks';
import express, { type Express, type Request, type RequestHandler } from 'express';
import type { Log } from '../cluster/log.ts';
import type { ClusterView } from '../cluster/view.ts';
import { type BodyLimits, readBody } from './bodies.ts';
import type { Decision } from './decision.ts';
import { type AdmissionMetrics, type AdmissionPath, noMetrics, type Outcome } from './metrics.ts';
import { mutate } from './mutate.ts';
import { answerErrors, HttpRefusal, methodNotAllowed, notFound } from './refusal.ts';
import { createRememberer, type Remember } from './remember.ts';
import { type AdmissionRequest, readReview, reviewOf } from './review.ts';
import { validate } from './validate.ts';

export interface AdmissionDeps {
  view: ClusterView;
  /** Writes the pod's class to the intent ConfigMap if it is not there yet. */
  remember: Remember;
  log: Pick<Log, 'error'>;
  metrics?: AdmissionMetrics;
  /** How long an admission waits for `remember`, milliseconds. */
  writeBudgetMs?: number;
  limits?: BodyLimits;
}

// The API server gives up on /mutate after 2 s, and a person feels what a creation takes.
const defaultWriteBudgetMs = 300;

type Decide = (request: AdmissionRequest, view: ClusterView) => Decision;

/**
 * 200 with `allowed` for every decision; plain text with 4xx for what is no review, and 500 for our own mistakes:
 * then the webhook's failurePolicy decides.
 */
export function createAdmissionApp({
  view,
  remember,
  log,
  metrics = noMetrics,
  writeBudgetMs = defaultWriteBudgetMs,
  limits,
}: AdmissionDeps): Express {
  const rememberInTime = createRememberer({ remember, budgetMs: writeBudgetMs, metrics });
  const body = readBody(limits);

  const answer = (path: AdmissionPath, decide: Decide): RequestHandler[] => [
    timed(path, metrics),
    ...body,
    async (request, response) => {
      const { uid, kind, dryRun, decision } = decided(request, decide, view);
      if (decision.remember && !dryRun) {
        await rememberInTime(decision.remember.pod, decision.remember.verdict);
      }
      const answered = reviewOf(uid, decision);
      response.locals.outcome = outcomeOf(decision);
      if (decision.denial) metrics.denied(kind);
      if (answered.response.warnings) metrics.warned(answered.response.warnings.length);
      response.json(answered);
    },
  ];

  const app = express().disable('x-powered-by').disable('etag');
  app
    .route('/mutate')
    .post(...answer('/mutate', mutate))
    .all(methodNotAllowed);
  app
    .route('/validate')
    .post(...answer('/validate', validate))
    .all(methodNotAllowed);
  app.use(notFound);
  return app.use(answerErrors((error) => log.error(`answer an admission review: ${error.stack ?? error}`)));
}

/** Nothing here keeps the object, which may take a hundred megabytes, while a write is waited for. */
function decided(request: Request, decide: Decide, view: ClusterView) {
  const review = readReview(request.body);
  request.body = undefined;
  if (review.request === null) throw new HttpRefusal(400, review.wrong);
  const { uid, kind, dryRun } = review.request;
  return { uid, kind: kind.kind, dryRun, decision: decide(review.request, view) };
}

function timed(path: AdmissionPath, metrics: AdmissionMetrics): RequestHandler {
  return (_request, response, next) => {
    const startedMs = performance.now();
    response.once('close', () => {
      const outcome: Outcome = response.locals.outcome ?? (response.statusCode >= 500 ? 'failed' : 'refused');
      metrics.answered(path, outcome, (performance.now() - startedMs) / 1000);
    });
    next();
  };
}

function outcomeOf({ denial, patch }: Decision): Outcome {
  if (denial) return 'denied';
  return patch.length > 0 ? 'patched' : 'allowed';
}
