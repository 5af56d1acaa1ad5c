// Notices at once when cgroups come and go: a restarted service has a new cgroup, and the next look may be seconds away.
import { type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';

export interface Changes {
  /**
   * Watches those of `cgroups` in which others are made. Call it after each look at the tree. True when some of them were
   * not watched before: what was made inside between the look and now has told nobody, so look again.
   */
  follow(cgroups: readonly string[]): boolean;
  close(): void;
}

// One inotify watch each; a node full of pods has some hundreds. What is beyond is found by the next look.
const maxWatched = 1024;

/**
 * `onChange` is called with the path of each cgroup directory made or removed inside a followed one; one that will hold
 * others is followed by then, so that whoever looks into it misses none. Never throws.
 */
export function watchCgroups({
  mount,
  onChange,
}: {
  mount: string;
  onChange: (path: string) => void;
}): Changes {
  const watchers = new Map<string, FSWatcher>();
  const unwatch = (path: string) => {
    watchers.get(path)?.close();
    watchers.delete(path);
  };

  const add = (path: string): boolean => {
    try {
      const watcher = watch(join(mount, path), { persistent: false }, (event, name) => {
        // 'change' is a write to a control file.
        if (event !== 'rename' || name === null) return;
        const changed = join(path, name);
        if (madeForOthers.test(changed) && watchers.size < maxWatched) {
          // Made anew, it is another directory.
          unwatch(changed);
          add(changed);
        }
        onChange(changed);
      });
      // The directory has gone; so says its parent too.
      watcher.on('error', () => unwatch(path));
      watchers.set(path, watcher);
      return true;
    } catch {
      // Gone again, or no inotify watches left: the next look is the fallback.
      return false;
    }
  };

  return {
    follow(cgroups) {
      const wanted = new Set(parentsToBe(cgroups).slice(0, maxWatched));
      for (const path of watchers.keys()) if (!wanted.has(path)) unwatch(path);
      return [...wanted].filter((path) => !watchers.has(path) && add(path)).length > 0;
    },
    close() {
      for (const path of [...watchers.keys()]) unwatch(path);
    },
  };
}

const madeForOthers = /\.slice$|\/(?:kubepods|burstable|besteffort|pod[^/]*)$/;

/** Cgroups that hold others, or whose name says that they will; the shallowest first. */
export function parentsToBe(cgroups: readonly string[]): string[] {
  const parents = new Set(cgroups.map((path) => path.slice(0, path.lastIndexOf('/')) || '/'));
  const depth = (path: string) => path.split('/').length;
  return cgroups
    .filter((path) => path === '/' || parents.has(path) || madeForOthers.test(path))
    .sort((a, b) => depth(a) - depth(b));
}
