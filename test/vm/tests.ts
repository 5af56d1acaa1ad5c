/** The tests of a node as most are: cgroup2 only, and systemd makes the cgroups of its pods. Told from the outside: it is a machine of its own. */
import test from 'ava';
import { firstRequest } from '../e2e/first-request.ts';
import { whyNoCgroups } from '../harness/cgroup.ts';
import { rootTest } from '../harness/root-test.ts';
import type { Service } from '../harness/service.ts';
import { until } from '../harness/until.ts';
import { buildImages } from '../images/images.ts';
import { deployAgent, type Exchange, type NodeAgent, startController } from './agent.ts';
import { type RuntimeName, startVirtualNode, type VirtualNode } from './node.ts';
import { type NodePod, podsOf } from './pods.ts';
import { runWorkloads, WORKLOADS } from './workloads.ts';

const MOUNT = '/sys/fs/cgroup';
// Emulated, each step may take a minute.
const PATIENCE = { timeoutMs: 120_000, everyMs: 500 };

export function testNode(runtime: RuntimeName): void {
  let node: VirtualNode;
  let controller: Service;
  let agent: NodeAgent;
  let pods: NodePod[];

  test.before(async (t) => {
    if (whyNoCgroups()) return;
    const started = performance.now();
    const onProgress = (step: string) =>
      t.log(`${((performance.now() - started) / 1000).toFixed(0)} s: ${step}`);
    const images = await buildImages();
    node = await startVirtualNode({ runtime, images: [images.agent], onProgress });
    try {
      controller = await startController(node);
      agent = await deployAgent(node);
      onProgress('the agent is ready');
      await runWorkloads(node.kube.kubectl);
      onProgress('the pods are ready');
    } catch (error) {
      t.log(await agent?.log().catch(() => ''), node.logs());
      throw error;
    }
    pods = await podsOf(node.kube.kubectl);
  });

  test.after.always(async () => {
    await controller?.stop();
    await node?.stop();
  });

  const podOf = (namespace: string): NodePod => {
    const pod = pods.find((one) => one.namespace === namespace);
    if (!pod) throw new Error(`there is no pod in namespace ${namespace}`);
    return pod;
  };
  const chosenPods = () => pods.filter(({ namespace }) => WORKLOADS[namespace]?.chosen.length);
  const inside = (...command: string[]) => node.inside(command);
  const get = (namespace: string, port: number, path: string, over?: 'tls') =>
    firstRequest(podOf(namespace).address, port, path, over);

  /** What was captured of these paths, once what was asked last is there. */
  async function capturedOf(paths: readonly string[], last: string): Promise<Exchange[]> {
    const all = await until(async () => {
      const exchanges = await agent.exchanges();
      return exchanges.some(({ request }) => request.target === last) && exchanges;
    }, PATIENCE);
    if (!all) throw new Error(`${last} is not captured: ${JSON.stringify(await agent.coverage())}`);
    return all.filter(({ request }) => paths.includes(request.target));
  }

  rootTest(`${runtime}: systemd is PID 1, and all cgroups are one tree of cgroup2`, async (t) => {
    t.is(await inside('cat', '/proc/1/comm'), 'systemd\n');
    t.is(await inside('stat', '-f', '-c', '%T', MOUNT), 'cgroup2fs\n');
    t.notRegex(await inside('cat', '/proc/self/mountinfo'), / - cgroup /);
  });

  rootTest(`${runtime}: pods are slices, and containers are systemd's scopes in them`, async (t) => {
    const qualities = new Set(pods.map(({ quality }) => quality));
    t.deepEqual([...qualities].sort(), ['BestEffort', 'Burstable', 'Guaranteed']);
    for (const { unit, cgroup } of pods.flatMap(({ containers }) => containers)) {
      t.is(await inside('systemctl', 'show', '--value', '-p', 'ControlGroup', unit), `${cgroup}\n`);
      t.not(await inside('cat', `${MOUNT}${cgroup}/cgroup.procs`), '');
    }
  });

  rootTest(`${runtime}: the containers that were asked for are the targets, at their scopes`, async (t) => {
    const expected = chosenPods().flatMap(({ namespace, name, containers }) =>
      containers
        .filter((container) => WORKLOADS[namespace]?.chosen.includes(container.name))
        .map(({ name: container, cgroup }) => [`${MOUNT}${cgroup}`, namespace, name, container]),
    );
    let targets: unknown[] = [];
    await until(async () => {
      targets = (await agent.coverage()).targets
        .filter(({ identity }) => identity.container !== undefined)
        .map(({ cgroup, identity }) => [cgroup, identity.namespace, identity.pod, identity.container]);
      return targets.length >= expected.length;
    }, PATIENCE);
    t.deepEqual(targets.sort(), expected.sort());
    t.is(expected.length, 3);
    const { refused, notes } = await agent.coverage();
    t.like(refused, [{ namespace: 'filtered', pod: 'web', container: 'nginx' }]);
    t.deepEqual(notes, []);
  });

  rootTest(`${runtime}: probes stand on the pods of these containers, and nowhere else`, async (t) => {
    const inodes = await inside('stat', '-c', '%i', ...chosenPods().map(({ cgroup }) => `${MOUNT}${cgroup}`));
    // Of all processes: links of cgroups, as bpf_link_show_fdinfo in the kernel tells them.
    const script = 'grep -hs -A 5 "^link_type:.cgroup" /proc/[0-9]*/fdinfo/*; true';
    const links = await inside('sh', '-c', script);
    const attached = [...links.matchAll(/^cgroup_id:\s*(\d+)$/gm)].map(([, inode = '']) => inode);
    t.deepEqual([...new Set(attached)].sort(), inodes.trim().split('\n').sort());
  });

  rootTest(`${runtime}: a request is captured with its pod and container`, async (t) => {
    t.is(await get('labelled', 80, '/plaintext'), 'HTTP/1.1 200 OK');
    t.like(await capturedOf(['/plaintext'], '/plaintext'), [
      { workload: { namespace: 'labelled', pod: 'web', container: 'nginx' }, response: { status: 200 } },
    ]);
  });

  rootTest(`${runtime}: a neighbour that was not asked for is never seen`, async (t) => {
    t.is(await get('neighbour', 80, '/neighbour'), 'HTTP/1.1 200 OK');
    t.is(await get('labelled', 80, '/after-neighbour'), 'HTTP/1.1 200 OK');
    t.deepEqual(await capturedOf(['/neighbour'], '/after-neighbour'), []);
    const all = await agent.exchanges();
    t.deepEqual([...new Set(all.map(({ workload }) => workload.namespace))], ['labelled']);
  });

  rootTest(
    `${runtime}: of two containers in a pod the one that was not asked for is not delivered`,
    async (t) => {
      t.is(await get('filtered', 80, '/unchosen'), 'HTTP/1.1 200 OK');
      t.is(await get('filtered', 8080, '/chosen'), 'HTTP/1.1 200 OK');
      t.like(await capturedOf(['/unchosen', '/chosen'], '/chosen'), [
        {
          workload: { namespace: 'filtered', pod: 'web', container: 'side' },
          request: { target: '/chosen' },
        },
      ]);
    },
  );

  rootTest(
    `${runtime}: a request over TLS is captured, with the capability that Linux 6.1 wants for it`,
    async (t) => {
      // Linux before 6.6; without it, coverage says so.
      agent = await deployAgent(node, ['SYS_ADMIN']);
      // Again where the agent still looks for the library.
      await until(async () => {
        t.is(await get('secure', 443, '/secure', 'tls'), 'HTTP/1.1 200 OK');
        return (await agent.exchanges()).some(({ request }) => request.target === '/secure');
      }, PATIENCE);
      t.like((await capturedOf(['/secure'], '/secure')).slice(0, 1), [
        { workload: { namespace: 'secure', pod: 'web', container: 'nginx' }, response: { status: 200 } },
      ]);
    },
  );
}
