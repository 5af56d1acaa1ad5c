/** Pods that a namespace at Pod Security level `restricted` takes. Nothing runs them. */
import type { PodFacts } from '../../webhook/intent/model.ts';

/** On every pod of the tests, so that they can be deleted together; no filter of theirs asks for it. */
export const TEST_LABEL = 'podmirror.test/pod';

export interface PodManifest {
  apiVersion: 'v1';
  kind: 'Pod';
  metadata: {
    namespace: string;
    name?: string;
    generateName?: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
  };
  spec: Record<string, unknown>;
}

export function podManifest(facts: Partial<PodFacts>, spec: Record<string, unknown> = {}): PodManifest {
  const { namespace = 'shop', name, labels = {}, annotations = {}, containers = [], nodeName } = facts;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace,
      ...(name === undefined ? { generateName: 'gen-' } : { name }),
      labels: { [TEST_LABEL]: 'yes', ...labels },
      annotations,
    },
    spec: {
      ...podSpec(containers),
      ...(nodeName !== undefined && { nodeName }),
      ...spec,
    },
  };
}

export function podSpec(containers: readonly string[]): Record<string, unknown> {
  return {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 0,
    securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
    containers: containers.map(container),
  };
}

export function container(name: string) {
  return {
    name,
    image: 'nothing:1',
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  };
}
