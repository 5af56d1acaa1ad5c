// Which cgroups the targets of podmirror.yaml mean. Pure: the tree and the processes are arguments.
import type { Identity } from '../bpf/index.d.ts';
import type { TargetConfig } from './config.ts';
import { type Container, containerAt } from './container.ts';
import { globMatcher } from './pattern.ts';

/** What the edge has seen of this machine. Paths begin with / and are relative to the cgroup2 mount. */
export interface Machine {
  cgroups: readonly string[];
  /** The cgroup of each process that a target names; no entry: it has ended. */
  processes: ReadonlyMap<number, string>;
}

export interface Selection {
  /** Path below the cgroup2 mount → whose traffic it is. No path lies below another one. */
  selected: Map<string, Identity>;
  /** Sentences about targets that select nothing, or less than they say, each with its remedy. */
  notes: string[];
}

/** A target, compiled once. `matches` is absent for a pid. */
export interface Selector {
  label: string;
  name: string | undefined;
  pid: number | undefined;
  matches: ((path: string) => boolean) | undefined;
  remedy: string;
}

export function compileTarget(target: TargetConfig, index: number): Selector {
  const { name, cgroup, unit, pid, containerd } = target;
  const selector = (kind: string, remedy: string, matches?: (path: string) => boolean): Selector => ({
    label: `targets[${index}] (${kind})`,
    name,
    pid,
    matches,
    remedy,
  });
  if (cgroup !== undefined) {
    return selector(`cgroup ${cgroup}`, '`systemd-cgls` lists those that exist', globMatcher(cgroup));
  }
  if (unit !== undefined) {
    return selector(`unit ${unit}`, 'Start it, or see `systemctl list-units`', unitMatcher(unit));
  }
  if (containerd !== undefined) {
    const remedy = 'Start it, or see `ctr --namespace k8s.io containers list`';
    return selector(`containerd ${containerd}`, remedy, containerMatcher(containerd));
  }
  return selector(`pid ${pid}`, 'A unit: or cgroup: survives a restart, a pid does not');
}

/** The first target that selects a cgroup names it; a cgroup inside another selected one is part of that one. */
export function selectCgroups(selectors: readonly Selector[], { cgroups, processes }: Machine): Selection {
  const selected = new Map<string, Identity>();
  const notes: string[] = [];
  for (const { label, name, pid, matches, remedy } of selectors) {
    const found = matches
      ? cgroups.filter((path) => path !== '/' && matches(path))
      : processCgroup(pid, processes);
    if (typeof found === 'string') {
      notes.push(`${label}: ${found}`);
      continue;
    }
    if (found.length === 0)
      notes.push(`${label}: no such ${pid === undefined ? 'cgroup' : 'process'} now. ${remedy}`);
    for (const path of found) {
      if (!selected.has(path)) selected.set(path, identityOf(path, name));
    }
  }
  for (const { path, outer } of nested([...selected.keys()])) {
    selected.delete(path);
    notes.push(`${path} is mirrored as part of ${outer}, which is a target too. Write only one of them`);
  }
  return { selected, notes };
}

function processCgroup(pid: number | undefined, processes: ReadonlyMap<number, string>): string[] | string {
  const path = pid === undefined ? undefined : processes.get(pid);
  if (path === undefined) return [];
  if (path === '/') {
    return 'it lives in the root cgroup with everything else, and only named workloads are mirrored. Start it in a cgroup of its own, for example with systemd-run';
  }
  if (path.startsWith('/..')) {
    return 'its cgroup lies outside of what this process can see. Run the agent in the cgroup namespace of the host';
  }
  return [path];
}

/** A unit's cgroup is a directory named after it; as in systemctl, a name without a type is a service. */
function unitMatcher(pattern: string): (path: string) => boolean {
  const hasType = /\.(?:service|scope|slice|socket|mount|swap|\*|\{[^/]*\})$/.test(pattern);
  const matches = globMatcher(hasType ? pattern : `${pattern}.service`);
  const isUnit = /\.(?:service|scope|slice|socket|mount|swap)$/;
  return (path) => {
    const unit = path.slice(path.lastIndexOf('/') + 1);
    return isUnit.test(unit) && matches(unit);
  };
}

const shortId = /^[0-9a-f]{8,63}$/;
// Namespaces of containerd whose containers are found without naming them.
const usualNamespaces = new Set([undefined, 'default', 'k8s.io', 'moby']);

/** `web-*`, an id or its beginning (8 hex digits or more), or `<containerd namespace>/<any of these>`. */
function containerMatcher(pattern: string): (path: string) => boolean {
  const slash = pattern.indexOf('/');
  const namespace = slash === -1 ? undefined : pattern.slice(0, slash);
  const idPattern = pattern.slice(slash + 1);
  const matchesId = globMatcher(idPattern);
  const isShortId = shortId.test(idPattern);
  const matchesNamespace = ({ runtimeNamespace }: Container) =>
    namespace === undefined
      ? usualNamespaces.has(runtimeNamespace)
      : runtimeNamespace === undefined || runtimeNamespace === namespace;
  return (path) => {
    const container = containerAt(path);
    if (!container || !matchesNamespace(container)) return false;
    return (
      matchesId(container.id) ||
      (isShortId && container.id.length === 64 && container.id.startsWith(idPattern))
    );
  };
}

function identityOf(path: string, name: string | undefined): Identity {
  const container = containerAt(path);
  const last = path.slice(path.lastIndexOf('/') + 1);
  return {
    name: name ?? (container ? container.id : last),
    ...(container && { container: container.id }),
    ...(container?.podUid !== undefined && { podUid: container.podUid }),
  };
}

/** Attached on both levels, a packet would be seen twice. */
function nested(paths: readonly string[]): { path: string; outer: string }[] {
  const all = new Set(paths);
  return paths.flatMap((path) => {
    const outer = ancestors(path).find((ancestor) => all.has(ancestor));
    return outer === undefined ? [] : [{ path, outer }];
  });
}

/** Outermost first: `/a/b/c` → `/a`, `/a/b`. */
function ancestors(path: string): string[] {
  const segments = path.split('/').slice(1, -1);
  return segments.map((_, index) => `/${segments.slice(0, index + 1).join('/')}`);
}
