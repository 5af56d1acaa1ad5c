// Finds out the names of containers that have just begun, from the mounts of their first process.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { containerNameIn } from './mountinfo.ts';

export interface ContainerNames {
  /** By container id; undefined: not known. */
  get(id: string): string | undefined;
  /** What the pod's status says, which counts more than the mounts. Kept for those that `retain` keeps. */
  learn(id: string, name: string): void;
  /** Looks for the names of these, and for no others any more. */
  find(containers: readonly Nameless[]): void;
  /** Forgets all others. */
  retain(ids: ReadonlySet<string>): void;
  close(): void;
}

export interface Nameless {
  id: string;
  path: string;
  podUid: string;
}

// A container has its mounts some ten milliseconds after its cgroup, and its program starts some more later. What has
// no name after all these is a pod's sandbox, or will be named by the pod's status.
const retryMs = [0, 4, 4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 256, 512, 1000, 2000];
// The first processes of a cgroup are those of the container itself, or enter it like them.
const maxProcesses = 4;

export function createContainerNames({
  mount,
  proc = '/proc',
  onChange,
}: {
  mount: string;
  proc?: string;
  onChange: () => void;
}): ContainerNames {
  const names = new Map<string, string>();
  /** Being looked for, or looked for in vain: how many times. */
  const sought = new Map<string, { attempts: number; timer?: NodeJS.Timeout }>();

  const look = async (container: Nameless, attempts: number): Promise<void> => {
    const name = await nameOf(container).catch(() => undefined);
    const state = sought.get(container.id);
    if (!state) return;
    state.attempts = attempts + 1;
    delete state.timer;
    if (name !== undefined) {
      names.set(container.id, name);
      onChange();
    } else plan(container, state.attempts);
  };

  const plan = (container: Nameless, attempts: number) => {
    const waitMs = retryMs[attempts];
    const state = sought.get(container.id);
    if (waitMs === undefined || !state) return;
    state.timer = setTimeout(() => void look(container, attempts), waitMs);
  };

  const nameOf = async ({ path, podUid }: Nameless): Promise<string | undefined> => {
    for (const pid of (await pidsIn(join(mount, path))).slice(0, maxProcesses)) {
      const mounts = await readFile(`${proc}/${pid}/mountinfo`, 'utf8').catch(() => '');
      const name = containerNameIn(mounts, podUid);
      if (name !== undefined) return name;
    }
    return undefined;
  };

  return {
    get: (id) => names.get(id),
    learn: (id, name) => void names.set(id, name),
    find(containers) {
      const ids = new Set(containers.map(({ id }) => id));
      for (const [id, { timer }] of sought) {
        if (ids.has(id)) continue;
        clearTimeout(timer);
        sought.delete(id);
      }
      for (const container of containers) {
        if (sought.has(container.id)) continue;
        sought.set(container.id, { attempts: 0 });
        plan(container, 0);
      }
    },
    retain(ids) {
      for (const id of names.keys()) if (!ids.has(id)) names.delete(id);
    },
    close() {
      for (const { timer } of sought.values()) clearTimeout(timer);
      sought.clear();
    },
  };
}

/** Of a cgroup, or of the first below it that has any: a container may sort its own. */
async function pidsIn(cgroup: string): Promise<string[]> {
  const pids = (await readFile(join(cgroup, 'cgroup.procs'), 'utf8')).split('\n').filter(Boolean);
  if (pids.length > 0) return pids;
  for (const entry of await readdir(cgroup, { withFileTypes: true })) {
    const inside = entry.isDirectory() ? await pidsIn(join(cgroup, entry.name)) : [];
    if (inside.length > 0) return inside;
  }
  return [];
}
