import test from 'ava';
import { fakeRequest, podObject, workloadObject } from '../fake/review.ts';
import { fakeView } from '../fake/view.ts';
import { mutate } from '../mutate.ts';
import { validate } from '../validate.ts';

const key = 'mirror.wallarm.com/enabled';
const annotated = (value: string) => ({ annotations: { [key]: value } });

function warningsFor(object: unknown, kind = 'Deployment', group = 'apps', namespace = 'shop'): string[] {
  const decision = validate(fakeRequest({ kind, group, object, namespace }), fakeView());
  if (decision.denial || decision.patch.length > 0) throw new Error('a workload is never refused or changed');
  return decision.warnings;
}

const templates: [kind: string, group: string][] = [
  ['Deployment', 'apps'],
  ['StatefulSet', 'apps'],
  ['DaemonSet', 'apps'],
  ['ReplicaSet', 'apps'],
  ['Job', 'batch'],
  ['ReplicationController', ''],
];

for (const [kind, group] of templates) {
  test(`a ${kind} with the annotation on itself is told the path of the template`, (t) => {
    t.deepEqual(warningsFor(workloadObject(annotated('true'), {}), kind, group), [
      `metadata.annotations[${key}] has no effect: pods of a ${kind} do not get it. Write it in spec.template.metadata.annotations`,
    ]);
  });
}

const cronJob = (own: object, job: object, pod: object) => ({
  metadata: own,
  spec: { jobTemplate: { metadata: job, spec: { template: { metadata: pod } } } },
});

test('a CronJob with the annotation on itself or on its Jobs is told the longer path', (t) => {
  const where = 'spec.jobTemplate.spec.template.metadata.annotations';
  t.deepEqual(warningsFor(cronJob(annotated('true'), annotated('true'), {}), 'CronJob', 'batch'), [
    `metadata.annotations[${key}] has no effect: pods of a CronJob do not get it. Write it in ${where}`,
    `spec.jobTemplate.metadata.annotations[${key}] has no effect: pods of a CronJob do not get it. Write it in ${where}`,
  ]);
  t.deepEqual(warningsFor(cronJob({}, {}, annotated('true')), 'CronJob', 'batch'), []);
  t.deepEqual(warningsFor(cronJob({}, {}, annotated('on')), 'CronJob', 'batch'), [
    `${where}[${key}]: value "on" is not true|false, so it counts as unset. Write "true"`,
  ]);
});

const rows: [title: string, own: object, template: object, warnings: string[]][] = [
  ['the annotation in the template', {}, annotated('true'), []],
  ['no in the template', {}, annotated('false'), []],
  ['the same in both places', annotated('true'), annotated('true'), []],
  [
    'different words in both places',
    annotated('false'),
    annotated('true'),
    [
      `metadata.annotations[${key}] has no effect: pods of a Deployment do not get it, they get "true" from their template. Remove it here`,
    ],
  ],
  ...(
    [
      ['yes', 'Write "true"'],
      ['True', 'Write "true"'],
      ['enabled', 'Write "true"'],
      ['fals', 'Write "false"'],
      ['0', 'Write "false"'],
      ['perhaps', 'Write "true" or "false", or remove it'],
    ] as const
  ).map(([value, instead]): [string, object, object, string[]] => [
    `the value ${value}`,
    {},
    annotated(value),
    [
      `spec.template.metadata.annotations[${key}]: value "${value}" is not true|false, so it counts as unset. ${instead}`,
    ],
  ]),
  [
    'a wrong value here and another there',
    annotated('true'),
    annotated('yes'),
    [
      `metadata.annotations[${key}] has no effect: pods of a Deployment do not get it, they get "yes" from their template. Remove it here`,
      `spec.template.metadata.annotations[${key}]: value "yes" is not true|false, so it counts as unset. Write "true"`,
    ],
  ],
  [
    'slips in the key',
    { annotations: { 'mirror.wallarm.com/enable': 'true' } },
    { annotations: { 'Mirror.Wallarm.com/Enabled': 'true', 'mirror.example.com/enabled': 'true' } },
    [
      `spec.template.metadata.annotations[Mirror.Wallarm.com/Enabled] is not known. Write spec.template.metadata.annotations[${key}]`,
      `metadata.annotations[mirror.wallarm.com/enable] is not known. Write spec.template.metadata.annotations[${key}]`,
    ],
  ],
  [
    'a label instead of the annotation',
    {},
    { labels: { [key]: 'true' } },
    [`spec.template.metadata.labels[${key}] has no effect. Write spec.template.metadata.annotations[${key}]`],
  ],
  [
    'the label of namespaces',
    { labels: { 'wallarm-mirror': 'enabled' } },
    {},
    [
      `metadata.labels[wallarm-mirror] has no effect. Label the namespace, or write spec.template.metadata.annotations[${key}]`,
    ],
  ],
];

for (const [title, own, template, warnings] of rows) {
  test(`a Deployment with ${title} is taken ${warnings.length > 0 ? 'with a warning' : 'without a word'}`, (t) => {
    t.deepEqual(warningsFor(workloadObject(own, template)), warnings);
  });
}

test('the ReplicaSet of a Deployment is not warned about again', (t) => {
  const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', controller: true }];
  const object = workloadObject({ ...annotated('true'), ownerReferences }, annotated('yes'));
  t.deepEqual(warningsFor(object, 'ReplicaSet'), []);
});

test('what a controller has made is warned about when somebody changes it', (t) => {
  const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', controller: true }];
  const object = podObject({ name: 'web', ...annotated('yes'), ownerReferences });
  const warned = (operation: 'CREATE' | 'UPDATE') =>
    validate(fakeRequest({ object, operation, name: 'web' }), fakeView()).warnings;
  t.deepEqual(warned('CREATE'), []);
  t.deepEqual(warned('UPDATE'), [`the pod is annotated ${key}=yes, which counts as unset. Write "true"`]);
});

test('excluded namespaces hear nothing', (t) => {
  const object = workloadObject(annotated('true'), {});
  t.deepEqual(warningsFor(object, 'Deployment', 'apps', 'kube-system'), []);
  t.deepEqual(warningsFor(object, 'Deployment', 'apps', 'podmirror'), []);
});

test('a pod is warned in the words of /mutate, which the API server passes once', (t) => {
  const object = podObject({ name: 'web', ...annotated('yes') });
  const request = fakeRequest({ object, name: 'web' });
  const { warnings } = validate(request, fakeView());
  t.deepEqual(warnings, mutate(request, fakeView()).warnings);
  t.is(warnings.length, 1);
});
