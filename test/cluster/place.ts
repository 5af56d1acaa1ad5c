/** What every node of a test takes of this machine, and that it goes again. */
import { addBridge } from './bridge.ts';
import { createCgroups } from './hierarchies.ts';
import { claimInstance, type Instance } from './instance.ts';
import { removeInstance } from './removal.ts';
import { startWarden } from './warden.ts';

export interface Place {
  instance: Instance;
  /** That everything of it is below. */
  cgroup: string;
}

/** Names, addresses, bridge and cgroups. They go with `undo`, or by a warden when this process ends without. */
export function takePlace(undo: AsyncDisposableStack): Place {
  const instance = claimInstance();
  const dismiss = startWarden(instance);
  undo.defer(async () => {
    await removeInstance(instance);
    dismiss();
  });
  addBridge(instance);
  return { instance, cgroup: createCgroups(instance.cgroup) };
}
