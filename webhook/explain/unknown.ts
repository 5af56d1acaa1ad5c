// Somebody asks for what is not there: what they probably meant.
import type { ClusterView } from '../cluster/view.ts';
import { nearest } from '../intent/near-miss.ts';
import { show } from '../intent/show.ts';
import type { Unknown } from './explanation.ts';
import { podsIn } from './fresh.ts';

type Known = Pick<ClusterView, 'namespace' | 'namespaces' | 'pods' | 'synced'>;

export function unknownPod(view: Known, namespace: string, name: string): Unknown {
  const siblings = [...podsIn(view, namespace)].map((pod) => pod.name);
  if (siblings.length === 0 && !view.namespace(namespace)) {
    const elsewhere = [...view.pods()].filter((pod) => pod.name === name).slice(0, maxNear);
    const { near, ...unknown } = unknownNamespace(view, namespace);
    return {
      ...unknown,
      near: [...elsewhere.map((pod) => `${pod.namespace}/${name}`), ...near].slice(0, maxNear),
    };
  }
  return {
    kind: 'unknown',
    synced: view.synced(),
    because: `there is no pod ${show(name)} in namespace ${show(namespace)}${yet(view)}`,
    near: nearNames(name, siblings).map((near) => `${namespace}/${near}`),
  };
}

export function unknownNamespace(view: Known, name: string): Unknown {
  return {
    kind: 'unknown',
    synced: view.synced(),
    because: `there is no namespace ${show(name)}${yet(view)}`,
    near: nearNames(
      name,
      [...view.namespaces()].map((facts) => facts.name),
    ),
  };
}

/** "…. Did you mean shop/web-7d4b or shop/web-9c1f?" */
export function renderUnknown({ because, near }: Unknown): string {
  return near.length === 0 ? because : `${because}. Did you mean ${near.map(show).join(' or ')}?`;
}

const yet = ({ synced }: Known) => (synced() ? '' : ', as far as is known: not everything was read yet');

const maxNear = 3;
// A comparison takes some microseconds, and whoever waits for an admission waits for this.
const maxCompared = 1000;

/** The nearest few, the nearest first. Those that begin with it are surely near. */
function nearNames(word: string, names: string[]): string[] {
  const longer = names.filter((name) => name.startsWith(word)).sort();
  const near = longer.slice(0, maxNear);
  const rest = names.slice(0, maxCompared).filter((name) => !near.includes(name));
  while (near.length < maxNear) {
    const next = nearest(word, rest);
    if (next === undefined) break;
    near.push(next);
    rest.splice(rest.indexOf(next), 1);
  }
  return near;
}
