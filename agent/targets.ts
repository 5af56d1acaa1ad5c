// Keeps the addon's targets equal to what podmirror.yaml means on this machine now.
import { join } from 'node:path';
import type { Capture, CaptureErrorCode, Identity } from '../bpf/index.d.ts';
import type { CgroupTree } from './cgroups.ts';
import type { TargetConfig } from './config.ts';
import type { Log } from './log.ts';
import { compileTarget, type Machine, selectCgroups } from './selector.ts';

export interface Targets {
  /**
   * Looks at the machine once and attaches or releases what changed. Never throws; says each thing once.
   * Resolves with the cgroups that it saw.
   */
  resolve(): Promise<string[]>;
  /** Cgroups attached now, and sentences about targets that are not. */
  status(): { attached: string[]; notes: string[] };
}

interface Attached {
  inode: number | undefined;
  identity: Identity;
}

export function createTargets({
  targets,
  capture,
  tree,
  mount,
  log,
}: {
  targets: readonly TargetConfig[];
  capture: Pick<Capture, 'select' | 'release'>;
  tree: CgroupTree;
  mount: string;
  log: Log;
}): Targets {
  const selectors = targets.map(compileTarget);
  const pids = selectors.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  const startTicks = new Map<number, string>();
  const attached = new Map<string, Attached>();
  let notes = new Set<string>();

  const attach = (path: string, identity: Identity, inode: number | undefined): string | undefined => {
    try {
      capture.select({ cgroup: join(mount, path), identity });
    } catch (error) {
      const { code, message } = error as Error & { code?: CaptureErrorCode };
      // Gone between the look and the call: the next round sees it so.
      const isRace = code === 'NOT_FOUND' && inode !== undefined;
      return isRace ? undefined : `not mirroring ${path}: ${message}`;
    }
    attached.set(path, { inode, identity });
    log.info(`mirroring ${path} as ${identity.name}`);
    return undefined;
  };

  const release = (path: string, why: string) => {
    capture.release(join(mount, path));
    attached.delete(path);
    log.info(`released ${path}: ${why}`);
  };

  const round = async () => {
    const inodes = await tree.list();
    const processes = await processesOf(pids, tree, startTicks);
    const machine: Machine = { cgroups: [...inodes.keys()], processes };
    const selection = selectCgroups(selectors, machine);

    for (const [path, { inode }] of attached) {
      if (!selection.selected.has(path)) {
        release(path, inodes.has(path) ? 'no target selects it any more' : 'its cgroup is gone');
      } else if (inodes.get(path) !== inode) {
        release(path, 'its cgroup was made anew');
      }
    }
    const refusals = [...selection.selected]
      .filter(([path]) => !attached.has(path))
      .map(([path, identity]) => attach(path, identity, inodes.get(path)))
      .filter((refusal) => refusal !== undefined);
    return { cgroups: [...machine.cgroups], found: [...selection.notes, ...refusals] };
  };

  return {
    async resolve() {
      const { cgroups, found } = await round().catch((error: Error) => ({
        cgroups: [],
        found: [`look for targets: ${error.message}`],
      }));
      for (const note of found.filter((sentence) => !notes.has(sentence))) log.warn(note);
      notes = new Set(found);
      return cgroups;
    },
    status: () => ({ attached: [...attached.keys()], notes: [...notes] }),
  };
}

/** A pid that begins to mean another process is a pid that has ended. */
async function processesOf(
  pids: readonly number[],
  tree: CgroupTree,
  startTicks: Map<number, string>,
): Promise<Map<number, string>> {
  const processes = new Map<number, string>();
  for (const pid of pids) {
    const found = await tree.processOf(pid);
    if (!found) continue;
    const known = startTicks.get(pid) ?? found.startTicks;
    startTicks.set(pid, known);
    if (known === found.startTicks) processes.set(pid, found.path);
  }
  return processes;
}
