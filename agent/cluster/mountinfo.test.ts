import test from 'ava';
import { uid } from './fake/node.ts';
import { containerNameIn } from './mountinfo.ts';

const line = (root: string, point = '/dev/termination-log') =>
  `1190 1160 254:0 ${root} ${point} rw,relatime - ext4 /dev/vda rw`;
const root = `/var/lib/kubelet/pods/${uid(1)}`;
const usual = [
  '1160 900 0:90 / / rw,relatime master:300 - overlay overlay rw,lowerdir=/a',
  line(`${root}/etc-hosts`, '/etc/hosts'),
  line(`${root}/volumes/kubernetes.io~empty-dir/containers/x`, '/cache'),
  line(`${root}/volume-subpaths/config/web/0`, '/etc/config'),
];

const rows: [title: string, lines: string[], name: string | undefined][] = [
  ['the usual mount', [...usual, line(`${root}/containers/web/1a2b3c4d`)], 'web'],
  ['another path inside', [line(`${root}/containers/web/1a2b3c4d`, '/tmp/last-words')], 'web'],
  ['a disk of its own for the kubelet', [line(`/pods/${uid(1)}/containers/web/1a2b3c4d`)], 'web'],
  ['no mount yet', usual, undefined],
  ['a mount of another pod', [line(`/pods/${uid(2)}/containers/web/1a2b3c4d`)], undefined],
  [
    'two that disagree',
    [line(`${root}/containers/web/1a2b3c4d`), line(`${root}/containers/proxy/1a2b3c4d`, '/x')],
    undefined,
  ],
  ['two that agree', ['/a', '/b'].map((at) => line(`${root}/containers/web/1a2b3c4d`, at)), 'web'],
  ['something longer', [line(`${root}/containers/web/1a2b3c4d/more`)], undefined],
  ['nothing at all', [''], undefined],
  [
    'a folder of a volume with the path of a container',
    [line(`${root}/volumes/kubernetes.io~empty-dir/v/pods/${uid(1)}/containers/web/1a2b3c4d`, '/x')],
    undefined,
  ],
  [
    'the mounts of the node, before the runtime has left them',
    [
      line(`/pods/${uid(1)}/containers/web/1a2b3c4d`, `/k/pods/${uid(2)}/volume-subpaths/v/web/0`),
      line(`${root}/containers/web/1a2b3c4d`),
    ],
    undefined,
  ],
];

for (const [title, lines, name] of rows) {
  test(`the name by mounts: ${title}`, (t) => t.is(containerNameIn(lines.join('\n'), uid(1)), name));
}
