/** Pods as a kubelet and a runtime lay them out in the cgroups of a node: real cgroups, mounts and processes, no runtime. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cgroup, createCgroup } from '../harness/cgroup.ts';

export interface NodeCgroups {
  /** The cgroup of a pod, as the kubelet makes it before it asks the runtime for anything. */
  pod(uid: string): PodCgroups;
  /** Kills what is left, and removes all. */
  remove(): Promise<void>;
}

export interface PodCgroups {
  /** What is spawned inside sees the kubelet's mount of that container. */
  container(name: string, options?: { id?: string }): ContainerCgroup;
  /** Beside the containers, without any mount of the kubelet. */
  sandbox(): Cgroup;
  remove(): Promise<void>;
}

export interface ContainerCgroup extends Cgroup {
  id: string;
}

/** How the cgroups are called. */
export type CgroupDriver = 'cgroupfs' | 'systemd' | 'systemd with CRI-O';

const id = () => randomBytes(32).toString('hex');

export function createNodeCgroups(driver: CgroupDriver = 'cgroupfs'): NodeCgroups {
  const kubelet = mkdtempSync(join(tmpdir(), 'podmirror-kubelet-'));
  const root = createCgroup('kubepods');
  const systemd = driver !== 'cgroupfs';
  const quality = root.child(systemd ? 'kubepods-besteffort.slice' : 'besteffort');
  const containerName = {
    cgroupfs: (id: string) => id,
    systemd: (id: string) => `cri-containerd-${id}.scope`,
    'systemd with CRI-O': (id: string) => `crio-${id}.scope`,
  }[driver];

  return {
    pod(uid) {
      const name = systemd ? `kubepods-besteffort-pod${uid.replaceAll('-', '_')}.slice` : `pod${uid}`;
      const pod = quality.child(name);
      return {
        container(name, { id: given = id() } = {}) {
          const folder = join(kubelet, 'pods', uid, 'containers', name);
          mkdirSync(folder, { recursive: true });
          const source = join(folder, randomBytes(4).toString('hex'));
          const target = join(kubelet, 'termination-log');
          for (const file of [source, target]) writeFileSync(file, '');
          const cgroup = pod.child(containerName(given));
          return {
            ...cgroup,
            id: given,
            spawn(command, args, options) {
              const script = 'mount --bind "$0" "$1" && shift && exec "$@"';
              return cgroup.spawn(
                'unshare',
                ['-m', 'sh', '-c', script, source, target, command, ...args],
                options,
              );
            },
          };
        },
        sandbox: () => pod.child(containerName(id())),
        remove: () => pod.remove(),
      };
    },
    async remove() {
      await root.remove();
      rmSync(kubelet, { recursive: true, force: true });
    },
  };
}
