// For probes, Prometheus and people: health on one port; metrics and the explanation on the other.
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';

export interface HealthDeps {
  /** Sentences about what is in the way; none: ready. */
  inTheWay: () => string[];
  onMistake: (error: Error) => void;
}

/** `/live`: the event loop turns. `/ready`: 503 with what is in the way. */
export function createHealth({ inTheWay, onMistake }: HealthDeps): Express {
  const app = plainApp();
  app.get('/live', (_request, response) => {
    response.json({ live: true });
  });
  app.get('/ready', (_request, response) => {
    const reasons = inTheWay();
    response.status(reasons.length === 0 ? 200 : 503).json({ ready: reasons.length === 0, reasons });
  });
  return app.use(nothingElse('/live or /ready')).use(mistakes(onMistake));
}

export interface OpsDeps {
  metrics: { metrics(): Promise<string>; contentType: string };
  explain: RequestHandler;
  onMistake: (error: Error) => void;
}

export function createOps({ metrics, explain, onMistake }: OpsDeps): Express {
  const app = plainApp();
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.contentType).send(await metrics.metrics());
  });
  app.get('/explain', explain);
  return app.use(nothingElse('/metrics or /explain')).use(mistakes(onMistake));
}

function plainApp(): Express {
  return express().disable('x-powered-by').disable('etag');
}

function nothingElse(pages: string): RequestHandler {
  return (_request, response) => {
    response.status(404).json({ error: `there is nothing here. GET ${pages}` });
  };
}

function mistakes(onMistake: (error: Error) => void): ErrorRequestHandler {
  return (error, _request, response, next) => {
    onMistake(error);
    if (response.headersSent) return next(error);
    response.status(500).json({ error: 'podmirror made a mistake; its log says more' });
  };
}
