// Pods, intent and cgroups of a node for tests.

import { classOf, type Meta } from '../../../webhook/intent/class.ts';
import type { Intent } from '../../../webhook/intent/document.ts';
import type { Grant } from '../../../webhook/intent/model.ts';
import type { NodePod } from '../pod.ts';

export const meta: Meta = {
  version: 1,
  labelKeys: ['app'],
  annotationKeys: [],
  namePatterns: [],
  filtersHash: '',
  shards: 1,
};

export const uid = (n: number) => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
export const idOf = (n: number) => n.toString(16).padStart(64, '0');

export function nodePod(given: Partial<NodePod> = {}): NodePod {
  const own = given.uid ?? uid(1);
  return {
    namespace: 'shop',
    name: 'web-1',
    labels: {},
    annotations: {},
    containers: ['web', 'proxy'],
    ephemeralContainers: [],
    nodeName: 'node-a',
    uid: own,
    owner: undefined,
    phase: 'Running',
    cgroupUid: own,
    completed: false,
    statuses: [],
    ...given,
  };
}

export const grant = (given: Partial<Grant> = {}): Grant => ({
  containers: ['*'],
  nodes: ['*'],
  because: 'filter 1 (namespace shop)',
  ...given,
});

/** Asks for these pods, and all that they share a class with. */
export function intentFor(...asked: [pod: NodePod, ...grants: Grant[]][]): Intent {
  const classes = asked.map(([pod, ...grants]): [string, Grant[]] => [classOf(pod, meta)?.id ?? '', grants]);
  return { meta, classes: new Map(classes) };
}

export const podPath = (n: number) => `/kubepods/besteffort/pod${uid(n)}`;
export const containerPath = (n: number, id: number) => `${podPath(n)}/${idOf(id)}`;

/** Of pods, by their containers' ids: path → inode. */
export function cgroupsOf(pods: Record<number, number[]>): Map<string, number> {
  const paths = Object.entries(pods).flatMap(([n, ids]) => [
    podPath(Number(n)),
    ...ids.map((id) => containerPath(Number(n), id)),
  ]);
  return new Map(['/', '/kubepods', '/kubepods/besteffort', ...paths].map((path) => [path, inodeOf(path)]));
}

function inodeOf(path: string): number {
  return [...path].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) % 1_000_003, 7);
}
