// Attacks and hits as the API tells them.
// Parts of a request hold one character per byte as sent (ISO 8859-1), so offsets in a mark count bytes and characters alike.
import type { Attack, Hit } from '../store/store.ts';

export const cursorText = ({ lastMs, id }: Pick<Attack, 'lastMs' | 'id'>): string => `${lastMs}-${id}`;

export function attackSummary({ firstMs, lastMs, ...attack }: Attack) {
  return { ...attack, firstSeen: iso(firstMs), lastSeen: iso(lastMs) };
}

export function attackDetail({ recorded, ...attack }: Attack & { recorded: Hit[] }) {
  return { ...attackSummary(attack), recorded: recorded.map(hitView) };
}

function hitView({ id, score, deciding, exchange, matches, mark }: Hit) {
  const { startMs, connection, request, response, gap, joinedLate, origin } = exchange;
  return {
    id,
    time: iso(startMs),
    score,
    // The connection's clientAddress is the peer: a proxy, or the client itself.
    client: origin?.client ?? { address: connection.clientAddress },
    host: origin?.host ?? null,
    application: origin?.application ?? null,
    connection,
    request,
    response: response ?? null,
    gap,
    joinedLate,
    mark,
    rules: matches.map((match) => ({ ...match, decided: match.id === deciding })),
  };
}

const iso = (ms: number): string => new Date(ms).toISOString();
