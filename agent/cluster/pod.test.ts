import test from 'ava';
import { idOf, uid } from './fake/node.ts';
import { nodePodOf } from './pod.ts';

const hash = 'c0ffee'.padEnd(32, '0');
const mirror = { 'kubernetes.io/config.mirror': hash, 'kubernetes.io/config.hash': hash };
const nodeOwner = [{ apiVersion: 'v1', kind: 'Node', name: 'node-a', uid: 'n', controller: true }];

const podObject = (metadata: object = {}, status: object = {}) => ({
  metadata: { name: 'web-1', namespace: 'shop', uid: uid(1), ...metadata },
  spec: { containers: [{ name: 'web' }], nodeName: 'node-a' },
  status: { phase: 'Running', ...status },
});

const status = (name: string, containerID: unknown, state: unknown = { running: { startedAt: 'x' } }) => ({
  name,
  containerID,
  state,
});

test('statuses of all kinds of containers are kept by id, and odd ones are left out', (t) => {
  const { statuses } = nodePodOf(
    podObject(
      {},
      {
        initContainerStatuses: [status('migrate', `cri-o://${idOf(1)}`, { terminated: { exitCode: 0 } })],
        containerStatuses: [
          status('web', `containerd://${idOf(2)}`),
          status('waiting', ''),
          status('odd', 7),
          'not a status',
        ],
        ephemeralContainerStatuses: [status('debug-1', `containerd://${idOf(3)}`)],
      },
    ),
  );
  t.deepEqual(statuses, [
    { name: 'migrate', id: idOf(1), running: false },
    { name: 'web', id: idOf(2), running: true },
    { name: 'debug-1', id: idOf(3), running: true },
  ]);
});

const uids: [title: string, metadata: object, cgroupUid: string][] = [
  ['a usual pod has its own uid', {}, uid(1)],
  ['a static pod has that of its file', { annotations: mirror, ownerReferences: nodeOwner }, hash],
  ['an annotation without a node for an owner is nothing', { annotations: mirror }, uid(1)],
  [
    "an annotation that is another pod's uid is nothing",
    {
      annotations: { ...mirror, 'kubernetes.io/config.hash': uid(2) },
      ownerReferences: nodeOwner,
    },
    uid(1),
  ],
];
for (const [title, metadata, expected] of uids) {
  test(`the uid in its cgroups: ${title}`, (t) => t.is(nodePodOf(podObject(metadata)).cgroupUid, expected));
}

for (const [phase, completed] of [
  ['Pending', false],
  ['Running', false],
  ['Unknown', false],
  ['Succeeded', true],
  ['Failed', true],
] as const) {
  test(`a pod in phase ${phase} has ${completed ? '' : 'not '}completed`, (t) => {
    t.is(nodePodOf(podObject({}, { phase })).completed, completed);
  });
}

test('a pod that is being deleted goes on until it is gone', (t) => {
  t.false(nodePodOf(podObject({ deletionTimestamp: '2026-01-01T00:00:00Z' })).completed);
});

test('what is no pod is refused, and a pod without a status is one', (t) => {
  t.throws(() => nodePodOf({ kind: 'Node' }));
  t.deepEqual(nodePodOf({ ...podObject(), status: undefined }).statuses, []);
});
