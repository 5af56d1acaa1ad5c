import { z } from 'zod';
import type { NamespaceFacts } from '../intent/model.ts';
import { stringMap } from './pod.ts';
import type { Handler } from './watcher.ts';

const namespaceShape = z.object({ metadata: z.object({ name: z.string().min(1), labels: stringMap }) });

export function namespaceOf(object: unknown): NamespaceFacts {
  const { name, labels } = namespaceShape.parse(object).metadata;
  return { name, labels };
}

export interface Namespaces extends Handler<NamespaceFacts> {
  get(name: string): NamespaceFacts | undefined;
  all(): Iterable<NamespaceFacts>;
}

export function createNamespaces({ onChange }: { onChange: () => void }): Namespaces {
  let known = new Map<string, NamespaceFacts>();
  // Facts that did not change stay the same object, by which others remember what follows from them.
  const same = (facts: NamespaceFacts): NamespaceFacts => {
    const before = known.get(facts.name);
    return before && JSON.stringify(before) === JSON.stringify(facts) ? before : facts;
  };
  return {
    replace(list) {
      const next = new Map(list.map((facts) => [facts.name, same(facts)]));
      const changed = next.size !== known.size || list.some((facts) => next.get(facts.name) === facts);
      known = next;
      if (changed) onChange();
    },
    upsert(facts) {
      if (same(facts) !== facts) return;
      known.set(facts.name, facts);
      onChange();
    },
    remove({ name }) {
      if (known.delete(name)) onChange();
    },
    get: (name) => known.get(name),
    all: () => known.values(),
  };
}
