// The selection rules as rows: a sentence, a cluster, and who is mirrored in it. The function is held to them, and so is
// the whole webhook behind a real API server.
import type { PodFacts, Rule } from '../model.ts';
import { settings } from './facts.ts';

const all = ['web', 'proxy'];
const none: string[] = [];
export const annotated = (value: string) => ({ annotations: { [settings.annotationKey]: value } });
const labelled = (labels: Record<string, string>) => ({ labels });

export interface Row {
  /** Of the list. */
  number: number;
  title: string;
  /** The namespace's label. */
  mirror?: string;
  filters?: string;
  /** Pods, and which of their containers an agent mirrors. */
  pods: [pod: Partial<PodFacts>, containers: string[], rule?: Rule][];
  warning?: RegExp;
}

export const rows: Row[] = [
  { number: 1, title: 'nothing set: nothing is mirrored', pods: [[{}, none, 'nothing-asked']] },
  {
    number: 2,
    title: 'an enabled namespace: all its pods',
    mirror: 'enabled',
    pods: [
      [{}, all, 'namespace-enabled'],
      [{ name: 'other', containers: ['db'] }, ['db'], 'namespace-enabled'],
    ],
  },
  {
    number: 3,
    title: 'the annotation "true" alone: that pod',
    pods: [
      [annotated('true'), all, 'pod-enabled'],
      [{}, none],
    ],
  },
  {
    number: 4,
    title: 'allNamespaces and a disabled namespace: no',
    mirror: 'disabled',
    filters: 'allNamespaces: true',
    pods: [[{}, none, 'namespace-disabled']],
  },
  {
    number: 5,
    title: 'an enabled namespace and the annotation "false": not that pod, but its siblings',
    mirror: 'enabled',
    pods: [
      [annotated('false'), none, 'pod-disabled'],
      [{}, all, 'namespace-enabled'],
    ],
  },
  {
    number: 6,
    title: 'a disabled namespace and the annotation "true": no',
    mirror: 'disabled',
    pods: [[annotated('true'), none, 'namespace-disabled']],
  },
  {
    number: 7,
    title: 'a disabled namespace and any filter: no',
    mirror: 'disabled',
    filters: "filters: [{namespace: shop}, {pod_name: '*'}]",
    pods: [[{}, none, 'namespace-disabled']],
  },
  {
    number: 8,
    title: 'the annotation "false" and a matching filter: no',
    filters: 'filters: [{namespace: shop}]',
    pods: [
      [annotated('false'), none, 'pod-disabled'],
      [{}, all, 'filter'],
    ],
  },
  {
    number: 9,
    title: 'a filter by namespace: its pods',
    filters: 'filters: [{namespace: shop}]',
    pods: [
      [{}, all, 'filter'],
      [{ namespace: 'bank' }, none],
    ],
  },
  {
    number: 10,
    title: 'a filter by pod label: in any namespace',
    filters: 'filters: [{pod_labels: {app: api}}]',
    pods: [
      [labelled({ app: 'api' }), all, 'filter'],
      [{ namespace: 'bank', ...labelled({ app: 'api' }) }, all, 'filter'],
      [labelled({ app: 'web' }), none],
      [{}, none],
    ],
  },
  {
    number: 11,
    title: 'two labels must both hold, and a comma list holds by any of its values',
    filters: "filters: [{pod_labels: {environment: production, team: 'backend,ops'}}]",
    pods: [
      [labelled({ environment: 'production', team: 'backend' }), all],
      [labelled({ environment: 'production', team: 'ops' }), all],
      [labelled({ environment: 'production', team: 'frontend' }), none],
      [labelled({ environment: 'production' }), none],
      [labelled({ environment: 'staging', team: 'backend' }), none],
    ],
  },
  {
    number: 12,
    title: 'a filter by annotation',
    filters: 'filters: [{pod_annotations: {example.com/api: public}}]',
    pods: [
      [{ annotations: { 'example.com/api': 'public' } }, all],
      [{ annotations: { 'example.com/api': 'internal' } }, none],
      [labelled({ 'example.com/api': 'public' }), none],
    ],
  },
  {
    number: 13,
    title: 'one annotation and a list of instances in another',
    filters:
      "filters: [{pod_annotations: {app.kubernetes.io/name: myapp, app.kubernetes.io/instance: 'blue,green'}}]",
    pods: [
      [{ annotations: { 'app.kubernetes.io/name': 'myapp', 'app.kubernetes.io/instance': 'green' } }, all],
      [{ annotations: { 'app.kubernetes.io/name': 'myapp', 'app.kubernetes.io/instance': 'red' } }, none],
      [{ annotations: { 'app.kubernetes.io/name': 'myapp' } }, none],
      [{ annotations: { 'app.kubernetes.io/instance': 'blue' } }, none],
    ],
  },
  {
    number: 14,
    title: 'a filter by node: only there',
    filters: 'filters: [{node_name: worker-1}]',
    pods: [
      [{ nodeName: 'worker-1' }, all, 'filter'],
      [{ nodeName: 'worker-2' }, none, 'filter'],
    ],
  },
  {
    number: 15,
    title: 'a filter by container: that one, not its sibling',
    filters: 'filters: [{container_name: web}]',
    pods: [
      [{}, ['web'], 'filter'],
      [{ containers: ['db'] }, none, 'nothing-asked'],
    ],
  },
  {
    number: 16,
    title: 'several filters: any of them is enough, and each needs all its keys',
    filters:
      "filters: [{namespace: default}, {namespace: my-namespace, pod_labels: {environment: production, team: 'backend,ops'}, pod_annotations: {app.kubernetes.io/name: myapp}}]",
    pods: [
      [{ namespace: 'default' }, all],
      [neighbour({}), all],
      [neighbour({ namespace: 'other' }), none],
      [neighbour(labelled({ environment: 'staging', team: 'ops' })), none],
      [neighbour(labelled({ environment: 'production', team: 'frontend' })), none],
      [neighbour(labelled({ environment: 'production' })), none],
      [neighbour({ annotations: { 'app.kubernetes.io/name': 'another' } }), none],
    ],
  },
  {
    number: 17,
    title: 'a filter by namespace and container: both must hold',
    filters: 'filters: [{namespace: shop, container_name: web}]',
    pods: [
      [{}, ['web']],
      [{ namespace: 'bank' }, none],
      [{ containers: ['db'] }, none],
    ],
  },
  {
    number: 18,
    title: 'allNamespaces alone: everything but our own and the excluded namespaces',
    filters: 'allNamespaces: true',
    pods: [
      [{}, all, 'all-namespaces'],
      [{ namespace: 'bank' }, all, 'all-namespaces'],
      [{ namespace: 'podmirror' }, none, 'namespace-excluded'],
      [{ namespace: 'kube-system' }, none, 'namespace-excluded'],
    ],
  },
  {
    number: 19,
    title: 'allNamespaces and the annotation "false": not that pod',
    filters: 'allNamespaces: true',
    pods: [
      [annotated('false'), none, 'pod-disabled'],
      [{}, all],
    ],
  },
  {
    number: 20,
    title: 'an enabled namespace and a narrower filter: all pods, with a warning',
    mirror: 'enabled',
    filters: 'filters: [{namespace: shop, pod_labels: {app: api}}]',
    pods: [
      [{}, all, 'namespace-enabled'],
      [labelled({ app: 'api' }), all, 'namespace-enabled'],
    ],
    warning:
      /^filter 1 \(namespace shop, pod label app=api\) narrows nothing: namespace shop is labelled wallarm-mirror=enabled, so all its pods are mirrored\. Remove the label or the filter$/,
  },
  {
    number: 20,
    title: 'an enabled namespace and a filter for one container anywhere: all containers, with a warning',
    mirror: 'enabled',
    filters: 'filters: [{container_name: web}]',
    pods: [[{}, all, 'namespace-enabled']],
    warning: /^filter 1 \(container web\) narrows nothing: /,
  },
  {
    number: 20,
    title: 'an enabled namespace and a filter for others or for the whole namespace: no warning',
    mirror: 'enabled',
    filters:
      "filters: [{namespace: bank, pod_name: a}, {namespace: shop}, {namespace: '!bank', pod_name: a}]",
    pods: [[{}, all, 'namespace-enabled']],
  },
  {
    number: 21,
    title: 'the label true counts as unset, with a warning',
    mirror: 'true',
    pods: [[{}, none, 'nothing-asked']],
    warning: /^namespace shop is labelled wallarm-mirror=true, which counts as unset\. Write enabled$/,
  },
  {
    number: 21,
    title: 'the label Enabled counts as unset, with a warning',
    mirror: 'Enabled',
    pods: [[{}, none, 'nothing-asked']],
    warning: /^namespace shop is labelled wallarm-mirror=Enabled, which counts as unset\. Write enabled$/,
  },
  {
    number: 21,
    title: 'the annotation yes counts as unset, with a warning',
    pods: [[annotated('yes'), none, 'nothing-asked']],
    warning: /^the pod is annotated mirror\.wallarm\.com\/enabled=yes, which counts as unset\. Write "true"$/,
  },
  {
    number: 22,
    title: 'blanks around the values of a list do not count',
    filters: "filters: [{namespace: ' shop, bank '}]",
    pods: [
      [{}, all],
      [{ namespace: 'bank' }, all],
      [{ namespace: ' bank' }, none],
    ],
  },
  {
    number: 23,
    title: "a star stands for any text: 'team-*'",
    filters: "filters: [{namespace: 'team-*'}]",
    pods: [
      [{ namespace: 'team-a' }, all],
      [{ namespace: 'team-' }, all],
      [{ namespace: 'team' }, none],
      [{ namespace: 'my-team-a' }, none],
    ],
  },
  {
    number: 23,
    title: "an exclamation mark stands for everything else: '!kube-*'",
    filters: "filters: [{namespace: '!kube-*'}]",
    pods: [
      [{}, all],
      [{ namespace: 'kube-public' }, none],
    ],
  },
  {
    number: 23,
    title: "braces stand for one of several, a question mark for a character: '{a,b}-?'",
    filters: "filters: [{namespace: '{a,b}-?'}]",
    pods: [
      [{ namespace: 'a-1' }, all],
      [{ namespace: 'b-x' }, all],
      [{ namespace: 'c-1' }, none],
      [{ namespace: 'a-12' }, none],
      [{ namespace: 'a-' }, none],
    ],
  },
  {
    number: 24,
    title: "an annotation on a Deployment's own metadata never reaches the pod: no",
    pods: [[labelled({ 'pod-template-hash': '6d4cf56db6' }), none, 'nothing-asked']],
  },
  {
    number: 27,
    title: 'init, sidecar and ephemeral containers are found by name',
    filters: "filters: [{container_name: 'migrate,envoy,debug-*'}]",
    pods: [
      [{ containers: ['migrate', 'envoy', 'web'] }, ['migrate', 'envoy']],
      [{ ephemeralContainers: ['debug-1'] }, ['debug-1']],
      [{ ephemeralContainers: ['shell'] }, none, 'nothing-asked'],
    ],
  },
  {
    number: 27,
    title: 'an ephemeral container of a mirrored pod is mirrored with it',
    mirror: 'enabled',
    pods: [[{ ephemeralContainers: ['debug-1'] }, [...all, 'debug-1']]],
  },
  {
    number: 27,
    title: 'a debugger that comes does not end the mirroring of everything by allNamespaces',
    filters: "allNamespaces: true\nfilters: [{container_name: 'debug-*'}]",
    pods: [[{ ephemeralContainers: ['debug-1'] }, [...all, 'debug-1'], 'all-namespaces']],
  },
  {
    number: 28,
    title: 'a pod that has no name yet matches no filter by name, and any other filter',
    filters: "filters: [{pod_name: 'web-*'}, {namespace: bank}]",
    pods: [
      [{ name: undefined }, none, 'nothing-asked'],
      [{ name: 'web-1' }, all, 'filter'],
      [{ name: undefined, namespace: 'bank' }, all, 'filter'],
    ],
  },
  {
    number: 28,
    title: 'static and mirror pods are decided like all others',
    filters: 'filters: [{node_name: worker-1, pod_name: nginx-worker-1}]',
    pods: [
      [
        {
          name: 'nginx-worker-1',
          nodeName: 'worker-1',
          annotations: { 'kubernetes.io/config.mirror': 'c0ffee', 'kubernetes.io/config.source': 'file' },
        },
        all,
        'filter',
      ],
    ],
  },
];

function neighbour(facts: Partial<PodFacts>): Partial<PodFacts> {
  return {
    namespace: 'my-namespace',
    labels: { environment: 'production', team: 'ops' },
    annotations: { 'app.kubernetes.io/name': 'myapp' },
    ...facts,
  };
}
