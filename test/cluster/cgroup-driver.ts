/** Who makes the cgroups of pods: kubelet and runc themselves, or systemd for them. */
import type { Instance } from './instance.ts';

/** `systemd`: for a node that has one of its own, as PID 1. */
export type CgroupDriver = 'cgroupfs' | 'systemd';

/** The cgroup that a kubelet makes its `kubepods` in; empty: the first. Two kubelets on one kernel end each other's pods when they share it. */
export const cgroupRoot = (driver: CgroupDriver, { cgroup }: Instance): string =>
  driver === 'cgroupfs' ? cgroup : '';
