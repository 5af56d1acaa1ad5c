import test from 'ava';
import { fakeRequest } from '../fake/review.ts';
import { fakeView } from '../fake/view.ts';
import { validate } from '../validate.ts';

const view = fakeView({
  filters: `filters:
    - { namespace: 'shop,bank', container_name: web }
    - { namespace: 'shop*' }
    - { namespace: '*' }
    - { pod_labels: { team: ops } }`,
});

function warned(metadata: object, name = 'test') {
  const object = { kind: 'Namespace', apiVersion: 'v1', metadata: { name, ...metadata } };
  const request = fakeRequest({ kind: 'Namespace', name, namespace: name, operation: 'UPDATE', object });
  const { denial, patch, warnings } = validate(request, view);
  return { denied: denial !== undefined, patch, warnings };
}

const labelled = (value: string) => ({ labels: { 'wallarm-mirror': value } });

const rows: [title: string, metadata: object, warnings: string[], name?: string][] = [
  ['enabled', labelled('enabled'), []],
  ['disabled', labelled('disabled'), []],
  ['no label', {}, []],
  ...(
    [
      ['true', 'Write enabled'],
      ['Enabled', 'Write enabled'],
      ['yes', 'Write enabled'],
      ['enabeld', 'Write enabled'],
      ['off', 'Write disabled'],
      ['Disable', 'Write disabled'],
      ['maybe', 'Write enabled or disabled, or remove the label'],
      ['', 'Write enabled or disabled, or remove the label'],
    ] as const
  ).map(([value, instead]): [string, object, string[]] => [
    JSON.stringify(value),
    labelled(value),
    [
      `metadata.labels[wallarm-mirror]: value ${JSON.stringify(value)} is not enabled|disabled, so it counts as unset. ${instead}`,
    ],
  ]),
  [
    'enabled where podmirror itself runs',
    labelled('enabled'),
    [
      'metadata.labels[wallarm-mirror] has no effect: namespace podmirror is never mirrored. Remove the label',
    ],
    'podmirror',
  ],
  [
    'enabled in an excluded namespace',
    labelled('enabled'),
    [
      'metadata.labels[wallarm-mirror] has no effect: namespace kube-system is never mirrored. Remove the label',
    ],
    'kube-system',
  ],
  [
    'enabled where filters choose',
    labelled('enabled'),
    [
      'metadata.labels[wallarm-mirror]: enabled mirrors all containers of all pods in shop, so filter 1, filter 2 of podmirror-filters chooses nothing there any more. Remove the label if the filter is meant to choose',
    ],
    'shop',
  ],
  [
    'a slip in the key',
    { labels: { 'wallarm-mirrors': 'enabled', 'kubernetes.io/metadata.name': 'test', mirror: 'x' } },
    ['metadata.labels[wallarm-mirrors] is not known. Write metadata.labels[wallarm-mirror]'],
  ],
  [
    'an annotation instead of the label',
    { annotations: { 'wallarm-mirror': 'enabled' } },
    ['metadata.annotations[wallarm-mirror] has no effect. Write metadata.labels[wallarm-mirror]'],
  ],
  [
    'the annotation of pods',
    { annotations: { 'mirror.wallarm.com/enabled': 'true' } },
    [
      'metadata.annotations[mirror.wallarm.com/enabled] has no effect. It is for pods. Label the namespace wallarm-mirror: enabled',
    ],
  ],
];

for (const [title, metadata, warnings, name] of rows) {
  test(`a namespace with ${title} is taken ${warnings.length > 0 ? 'with a warning' : 'without a word'}`, (t) => {
    t.deepEqual(warned(metadata, name), { denied: false, patch: [], warnings });
  });
}
