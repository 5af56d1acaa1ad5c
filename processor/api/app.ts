// What people and their tools read: attacks and coverage as JSON for those with the token, and the page.
import { fileURLToPath } from 'node:url';
import express, { type Express, type RequestHandler } from 'express';
import type { Agents } from '../coverage/agents.ts';
import { answerErrors, methodNotAllowed, notFound, Refusal } from '../errors.ts';
import type { Stats, Store } from '../store/store.ts';
import { attackQuery } from './attack-query.ts';
import { attackDetail, attackSummary, cursorText } from './attack-view.ts';
import { sameToken } from './token.ts';

export interface ApiOptions {
  store: Pick<Store, 'attacks' | 'attack'>;
  stats: () => Stats;
  coverage: Pick<Agents, 'list' | 'get'>;
  token: string;
  onInternal: (error: Error) => void;
}

const pageFolder = fileURLToPath(new URL('../page', import.meta.url));

// Attackers write what the page shows: nothing from elsewhere, nothing inline, no frame around it.
const pageHeaders = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

export function createApi({ store, stats, coverage, token, onInternal }: ApiOptions): Express {
  const app = express().disable('x-powered-by');
  app.set('query parser', 'simple');
  app.use((_request, response, next) => {
    response.set(pageHeaders);
    next();
  });

  app.use('/api', wantToken(token), (_request, response, next) => {
    response.set('Cache-Control', 'no-store');
    next();
  });
  app
    .route('/api/attacks')
    .get((request, response) => {
      const query = attackQuery(request.query);
      const attacks = store.attacks(query);
      const last = attacks.length === query.limit ? attacks.at(-1) : undefined;
      response.json({ attacks: attacks.map(attackSummary), next: last ? cursorText(last) : null });
    })
    .all(methodNotAllowed);
  app
    .route('/api/attacks/:id')
    .get((request, response) => {
      const id = request.params.id;
      const attack = /^\d{1,15}$/.test(id) ? store.attack(Number(id)) : undefined;
      if (!attack) throw new Refusal('attack_not_found');
      response.json(attackDetail(attack));
    })
    .all(methodNotAllowed);
  app
    .route('/api/stats')
    .get((_request, response) => {
      response.json(stats());
    })
    .all(methodNotAllowed);
  app
    .route('/api/coverage')
    .get((_request, response) => {
      response.json({ agents: coverage.list() });
    })
    .all(methodNotAllowed);
  app
    .route('/api/coverage/:id')
    .get((request, response) => {
      const agent = coverage.get(request.params.id);
      if (!agent) throw new Refusal('agent_not_found');
      response.json(agent);
    })
    .all(methodNotAllowed);

  app.use(express.static(pageFolder, { dotfiles: 'ignore', redirect: false, cacheControl: false }));
  app.use(notFound);
  return app.use(answerErrors(onInternal));
}

function wantToken(token: string): RequestHandler {
  return (request, _response, next) => {
    const given = request.headers.authorization?.match(/^Bearer +(\S+) *$/i)?.[1];
    if (given === undefined) throw new Refusal('token_missing');
    if (!sameToken(given, token)) throw new Refusal('token_wrong');
    next();
  };
}
