// For probes and Prometheus: /live, /ready, /metrics.
import express, { type Express } from 'express';
import { answerErrors, notFound } from '../errors.ts';

export interface OpsOptions {
  /** Sentences about what is in the way; none: ready. */
  inTheWay: () => string[];
  metrics: { metrics(): Promise<string>; contentType: string };
  onInternal: (error: Error) => void;
}

export function createOps({ inTheWay, metrics, onInternal }: OpsOptions): Express {
  const app = express().disable('x-powered-by').disable('etag');
  app.get('/live', (_request, response) => {
    response.json({ live: true });
  });
  app.get('/ready', (_request, response) => {
    const reasons = inTheWay();
    response.status(reasons.length === 0 ? 200 : 503).json({ ready: reasons.length === 0, reasons });
  });
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.contentType).send(await metrics.metrics());
  });
  return app.use(notFound).use(answerErrors(onInternal));
}
