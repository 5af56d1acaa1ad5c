import test from 'ava';
import { idOf, uid } from './fake/node.ts';
import { concernsPods, isLeafOfPod, podCgroupsOf } from './pod-cgroups.ts';

const [id, pause, static_] = [idOf(1), idOf(2), 'c0ffee'.padEnd(32, '0')];
const systemd = uid(1).replaceAll('-', '_');
const slice = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${systemd}.slice`;

const rows: [title: string, paths: string[], key: string, pod: string, ids: string[]][] = [
  [
    'cgroupfs, guaranteed',
    [`/kubepods/pod${uid(1)}`, `/kubepods/pod${uid(1)}/${id}`, `/kubepods/pod${uid(1)}/${pause}`],
    uid(1),
    `/kubepods/pod${uid(1)}`,
    [id, pause],
  ],
  [
    'cgroupfs below a root of its own, with cgroups of the container inside',
    [
      `/nodes/a/kubepods/burstable/pod${uid(1)}`,
      `/nodes/a/kubepods/burstable/pod${uid(1)}/${id}`,
      `/nodes/a/kubepods/burstable/pod${uid(1)}/${id}/init.scope`,
    ],
    uid(1),
    `/nodes/a/kubepods/burstable/pod${uid(1)}`,
    [id],
  ],
  ['systemd, containerd', [slice, `${slice}/cri-containerd-${id}.scope`], uid(1), slice, [id]],
  [
    'systemd, CRI-O with its monitor beside the container',
    [
      slice,
      `${slice}/crio-conmon-${id}.scope`,
      `${slice}/crio-${id}.scope`,
      `${slice}/crio-${id}.scope/container`,
    ],
    uid(1),
    slice,
    [id],
  ],
  [
    'cgroupfs, CRI-O',
    [
      `/kubepods/pod${uid(1)}`,
      `/kubepods/pod${uid(1)}/crio-${id}`,
      `/kubepods/pod${uid(1)}/crio-conmon-${id}`,
    ],
    uid(1),
    `/kubepods/pod${uid(1)}`,
    [id],
  ],
  [
    'a static pod',
    [`/kubepods/pod${static_}`, `/kubepods/pod${static_}/${id}`],
    static_,
    `/kubepods/pod${static_}`,
    [id],
  ],
];

for (const [title, paths, key, path, ids] of rows) {
  test(`a pod's cgroup and its containers: ${title}`, (t) => {
    const others = ['/', '/system.slice', '/system.slice/podman.service', `/docker/${idOf(9)}`];
    const found = podCgroupsOf(new Map([...others, ...paths].map((one, index) => [one, index])));
    t.deepEqual([...found.keys()], [key]);
    t.is(found.get(key)?.path, path);
    t.deepEqual(
      found.get(key)?.containers.map((container) => container.id),
      ids,
    );
  });
}

test('a cgroup that a container made inside a pod is no pod, whatever its name and whichever is seen first', (t) => {
  const own = `/kubepods/pod${uid(2)}`;
  const forged = `${own}/${id}/pod${uid(1)}`;
  const real = `/kubepods/pod${uid(1)}`;
  const paths = [own, `${own}/${id}`, forged, `${forged}/${pause}`, real];
  const pods = podCgroupsOf(new Map(paths.map((path, inode) => [path, inode])));
  t.is(pods.get(uid(1))?.path, real);
  t.deepEqual(pods.get(uid(1))?.containers, []);
});

const own = `/kubepods/pod${uid(1)}`;
const matters: [what: string, path: string, concerns: boolean, isLeaf: boolean][] = [
  ['a pod', own, true, false],
  ['a pod, systemd', slice, true, false],
  ['a container', `${own}/${id}`, true, true],
  ['a container, systemd', `${slice}/cri-containerd-${id}.scope`, true, true],
  ['the monitor of a container', `${slice}/crio-conmon-${id}.scope`, false, true],
  ['what a container made', `${own}/${id}/init.scope`, false, true],
  ['what a container made to look like a container', `${own}/${id}/${pause}`, false, true],
  ['what a container made to look like a pod', `${own}/${id}/pod${uid(2)}`, false, true],
  ['what a container made to look like a folder of pods', `${own}/${id}/kubepods`, false, true],
  ['a folder of pods', '/nodes/a/kubepods/burstable', true, false],
  ['a folder of pods, systemd', '/kubelet.slice/kubelet-kubepods.slice', true, false],
  ['a service of the node', '/system.slice/cron.service', false, false],
  ["a container that is no pod's", `/docker/${id}`, false, false],
];
for (const [what, path, concerns, isLeaf] of matters) {
  test(`${what} ${concerns ? 'concerns' : 'does not concern'} pods, and is ${isLeaf ? 'not ' : ''}looked into`, (t) => {
    t.deepEqual([concernsPods(path), isLeafOfPod(path)], [concerns, isLeaf]);
  });
}
