/** A seeded mix of connections: every kind of request that the differential test compares. */
import type { PlannedConnection } from './client.ts';
import type { Delivery } from './delivery.ts';
import { KINDS, type Kind } from './mix-kinds.ts';
import type { Random } from './random.ts';
import type { PlannedRequest } from './request.ts';

export interface MixOptions {
  random: Random;
  requests: number;
  /** Begins each X-Id; keeps several mixes in one log apart. */
  prefix?: string;
}

const TOTAL_WEIGHT = KINDS.reduce((sum, { weight }) => sum + weight, 0);

/** Connections with at least `requests` requests among them; equal for equal seeds. */
export function planMix({ random, requests, prefix = 'mix' }: MixOptions): PlannedConnection[] {
  const connections: PlannedConnection[] = [];
  let count = 0;
  while (count < requests) {
    const delivery = pickDelivery(random);
    const wanted = delivery === 'whole' ? random.between(1, 110) : random.between(1, 12);
    const groups: PlannedRequest[][] = [];
    let closed = false;
    for (let planned = 0; planned < wanted && !closed; ) {
      const group: PlannedRequest[] = [];
      for (let size = random.chance(0.3) ? random.between(2, 12) : 1; size > 0 && !closed; size--) {
        const kind = pickKind(random);
        if (kind.alone && group.length > 0) break;
        group.push(kind.plan({ random, id: `${prefix}-${++count}`, kind: kind.name }));
        closed = kind.closes === true;
        if (kind.alone) break;
      }
      if (group.length > 0) groups.push(group);
      planned += Math.max(group.length, 1);
    }
    if (groups.length === 0) continue;
    connections.push({
      host: random.chance(0.5) ? '127.0.0.1' : '::1',
      delivery,
      groups,
      halfClose:
        !closed && random.chance(0.1) && groups.at(-1)?.every(({ expect }) => expect === null) === true,
    });
  }
  return connections;
}

function pickDelivery(random: Random): Delivery {
  const drawn = random.next();
  if (drawn < 0.1) return 'bytes';
  return drawn < 0.3 ? 'slices' : 'whole';
}

function pickKind(random: Random): Kind {
  let drawn = random.next() * TOTAL_WEIGHT;
  for (const kind of KINDS) {
    drawn -= kind.weight;
    if (drawn < 0) return kind;
  }
  return random.pick(KINDS);
}
