import test from 'ava';
import fc from 'fast-check';
import type { TargetConfig } from './config.ts';
import { containerAt } from './container.ts';
import { compileTarget, selectCgroups } from './selector.ts';

const id = 'a1b2c3d4'.repeat(8);
const uid = '0f7c2f1e-1111-4222-8333-944445555666';
const kubelet = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid.replaceAll('-', '_')}.slice`;
const cgroups = [
  '/',
  '/system.slice',
  '/system.slice/nginx.service',
  '/system.slice/nginx-debug.service',
  '/system.slice/php8.2-fpm.service',
  String.raw`/system.slice/dev-disk\x2droot.mount`,
  '/system.slice/not-a-unit',
  '/user.slice/user-1.slice/session-3.scope',
  `${kubelet}/cri-containerd-${id}.scope`,
  `/kubepods/pod${uid}/${id.replace('a', 'b')}`,
  '/default/web-1',
  '/default/web-2',
  '/buildkit/web-3',
  `/k8s.io/${'0'.repeat(64)}`,
];

function pick(targets: TargetConfig[], processes: [number, string][] = []) {
  const { selected, notes } = selectCgroups(targets.map(compileTarget), {
    cgroups,
    processes: new Map(processes),
  });
  return { paths: [...selected.keys()], identities: [...selected.values()], notes };
}

const rows: { title: string; target: TargetConfig; paths: string[] }[] = [
  {
    title: 'a path selects itself',
    target: { cgroup: '/system.slice/nginx.service' },
    paths: ['/system.slice/nginx.service'],
  },
  {
    title: 'a star stays inside its segment',
    target: { cgroup: '/*/nginx*' },
    paths: ['/system.slice/nginx.service', '/system.slice/nginx-debug.service'],
  },
  {
    title: 'two stars cross segments',
    target: { cgroup: '/user.slice/**/*.scope' },
    paths: ['/user.slice/user-1.slice/session-3.scope'],
  },
  {
    title: 'a name with a backslash, as systemd writes it, selects itself',
    target: { cgroup: String.raw`/system.slice/dev-disk\x2droot.mount` },
    paths: [String.raw`/system.slice/dev-disk\x2droot.mount`],
  },
  {
    title: 'a unit is found wherever its slice is',
    target: { unit: 'session-*.scope' },
    paths: ['/user.slice/user-1.slice/session-3.scope'],
  },
  {
    title: 'a unit without a type is a service',
    target: { unit: 'php*-fpm' },
    paths: ['/system.slice/php8.2-fpm.service'],
  },
  { title: 'a unit is a whole name', target: { unit: 'nginx' }, paths: ['/system.slice/nginx.service'] },
  { title: 'what systemd did not make is no unit', target: { unit: 'not-a-unit' }, paths: [] },
  {
    title: 'a container of the kubelet is found by its id',
    target: { containerd: id },
    paths: [`${kubelet}/cri-containerd-${id}.scope`],
  },
  {
    title: 'a container is found by the beginning of its id',
    target: { containerd: id.slice(0, 12) },
    paths: [`${kubelet}/cri-containerd-${id}.scope`],
  },
  { title: 'seven digits are too few for an id', target: { containerd: id.slice(0, 7) }, paths: [] },
  {
    title: 'a container of ctr is found by its name',
    target: { containerd: 'web-*' },
    paths: ['/default/web-1', '/default/web-2'],
  },
  {
    title: 'a rarer namespace is found when it is named',
    target: { containerd: 'buildkit/web-*' },
    paths: ['/buildkit/web-3'],
  },
  {
    title: 'a glob over containers leaves the services of systemd alone',
    target: { containerd: 'nginx*' },
    paths: [],
  },
];

for (const { title, target, paths } of rows) {
  test(title, (t) => t.deepEqual(pick([target]).paths, paths));
}

test('an exchange carries the name that was written, or else the last part of the path', (t) => {
  t.deepEqual(pick([{ unit: 'nginx', name: 'shop' }]).identities, [{ name: 'shop' }]);
  t.deepEqual(pick([{ unit: 'nginx' }]).identities, [{ name: 'nginx.service' }]);
});

test('a container carries its id and the uid of its pod, with either cgroup driver', (t) => {
  t.deepEqual(pick([{ containerd: id }]).identities, [{ name: id, container: id, podUid: uid }]);
  t.is(containerAt(`/kubepods/pod${uid}/${id}`)?.podUid, uid);
  t.is(containerAt(`/kubepods/pod${uid}/${id}/init`), undefined);
});

test('a process selects its cgroup', (t) => {
  t.deepEqual(pick([{ pid: 7 }], [[7, '/system.slice/nginx.service']]).paths, [
    '/system.slice/nginx.service',
  ]);
});

const refused: { title: string; target: TargetConfig; processes?: [number, string][]; note: RegExp }[] = [
  {
    title: 'a process that has ended',
    target: { pid: 7 },
    note: /^targets\[0\] \(pid 7\): no such process now\. A unit: or/,
  },
  {
    title: 'a process in the root cgroup',
    target: { pid: 7 },
    processes: [[7, '/']],
    note: /root cgroup with everything else.*systemd-run$/,
  },
  {
    title: 'a process outside of the cgroup namespace',
    target: { pid: 7 },
    processes: [[7, '/../../x']],
    note: /cgroup namespace of the host$/,
  },
  {
    title: 'a pattern that fits nothing',
    target: { unit: 'apache2' },
    note: /\(unit apache2\): no such cgroup now\. Start it/,
  },
];

for (const { title, target, processes = [], note } of refused) {
  test(`${title} selects nothing and is told with what to do`, (t) => {
    const { paths, notes } = pick([target], processes);
    t.deepEqual(paths, []);
    t.is(notes.length, 1);
    t.regex(notes[0] ?? '', note);
  });
}

test('the first target names a cgroup that two select', (t) => {
  const { identities } = pick([
    { unit: 'nginx', name: 'first' },
    { cgroup: '/system.slice/nginx.service', name: 'second' },
  ]);
  t.deepEqual(identities, [{ name: 'first' }]);
});

test('a cgroup inside another selected one is not attached twice, and that is told', (t) => {
  const { paths, notes } = pick([{ unit: 'nginx' }, { cgroup: '/system.slice' }]);
  t.deepEqual(paths, ['/system.slice']);
  t.regex(notes[0] ?? '', /^\/system\.slice\/nginx\.service is mirrored as part of \/system\.slice/);
});

const segment = fc.stringMatching(/^[a-z@.\\[\](){}*?!+-]{1,6}$/);
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => `/${segments.join('/')}`);

test('a literal path always selects exactly itself, whatever characters it has', (t) => {
  const literal = fc.stringMatching(/^[a-z@.:_-]{1,8}$/);
  fc.assert(
    fc.property(
      fc.uniqueArray(
        fc.array(literal, { minLength: 1, maxLength: 3 }).map((s) => `/${s.join('/')}`),
        { minLength: 1 },
      ),
      (paths) => {
        const [wanted = ''] = paths;
        const { selected } = selectCgroups([compileTarget({ cgroup: wanted }, 0)], {
          cgroups: paths,
          processes: new Map(),
        });
        return [...selected.keys()].join() === wanted;
      },
    ),
  );
  t.pass();
});

test('what is selected exists, is not the root, and never lies inside another selected one', (t) => {
  fc.assert(
    fc.property(
      fc.array(path),
      fc.array(fc.constantFrom('/**', '/*', '/*/*', '/a*', '/**/*.a', '/{a,b}/**')),
      (paths, globs) => {
        const selectors = globs.map((cgroup, index) => compileTarget({ cgroup }, index));
        const chosen = [
          ...selectCgroups(selectors, { cgroups: ['/', ...paths], processes: new Map() }).selected.keys(),
        ];
        return chosen.every(
          (one) => one !== '/' && paths.includes(one) && !chosen.some((other) => one.startsWith(`${other}/`)),
        );
      },
    ),
  );
  t.pass();
});
