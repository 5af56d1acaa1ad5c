// The agent in a cluster: what it watches, and the targets that follow from it.
import type { Capture, Coverage } from '../../bpf/index.d.ts';
import { type Api, pathOf } from '../../webhook/cluster/api.ts';
import { type Clock, systemClock } from '../../webhook/cluster/clock.ts';
import { startWatcher, type WatcherTiming } from '../../webhook/cluster/watcher.ts';
import type { Meta } from '../../webhook/intent/class.ts';
import type { Intent } from '../../webhook/intent/document.ts';
import type { CgroupTree } from '../cgroups.ts';
import type { AgentCoverage } from '../coverage-report.ts';
import type { Log } from '../log.ts';
import type { Targets } from '../targets.ts';
import { createEvents } from './events.ts';
import { startIntentReader } from './intent.ts';
import { createContainerNames } from './names.ts';
import { concernsPods } from './pod-cgroups.ts';
import { createNodePods } from './pods.ts';
import { createClusterTargets } from './targets.ts';
import { createTroubleLog } from './trouble-log.ts';

export interface InCluster extends Targets {
  /** This cgroup came or went. False: that concerns no pod. Never throws. */
  notice(path: string): boolean;
  /** What the addon says of each target, with the rule that asks for it, and what was refused. */
  coverage(addon: Coverage): ClusterCoverage;
  /** Sentences about what was not heard yet; once all was heard, none for ever: what is known stays in use. */
  unread(): string[];
  /** Milliseconds since the API server was heard; Infinity before. */
  ageMs(): number;
  close(): Promise<void>;
}

export interface ClusterCoverage extends AgentCoverage {
  cluster: { node: string; ageMs: number; trouble: string | null };
}

export interface ClusterLink {
  open(parts: { capture: Capture; tree: CgroupTree; mount: string; log: Log }): InCluster;
}

export function clusterLink({
  api,
  node,
  ownNamespace,
  instance,
  clock = systemClock,
  timing = {},
}: {
  api: Api;
  node: string;
  ownNamespace: string;
  /** The agent's own pod, for Events; undefined: none are told. */
  instance?: string | undefined;
  clock?: Clock;
  timing?: Partial<WatcherTiming>;
}): ClusterLink {
  return {
    open({ capture, tree, mount, log }) {
      const watchLog = createTroubleLog(log);
      let closed = false;
      let soon: NodeJS.Immediate | undefined;
      const noticed = new Set<string>();
      /** Much comes at once: a list, what one command changed, or the cgroups of a pod. */
      const change = () => {
        if (closed) return;
        soon ??= setImmediate(() => {
          soon = undefined;
          settleIntent();
          const paths = [...noticed];
          noticed.clear();
          if (paths.length > 0) targets.notice(paths);
          else targets.update();
        });
      };

      const pods = createNodePods({ onChange: change });
      const watcher = startWatcher({
        api,
        name: 'pods',
        path: pathOf({}, 'pods'),
        fieldSelector: `spec.nodeName=${node}`,
        reduce: pods.reduce,
        handler: {
          ...pods,
          replace(list) {
            lists++;
            pods.replace(list);
            // It counts as synced right behind this.
            queueMicrotask(change);
          },
        },
        clock,
        log: watchLog,
        timing,
      });
      const reader = startIntentReader({
        api,
        namespace: ownNamespace,
        clock,
        log: watchLog,
        onChange: change,
        timing,
      });

      /**
       * The intent that is in use. One with new keys comes into use when the pods have been listed with these keys: until
       * then their class ids cannot be told.
       */
      let inUse: Intent | null = null;
      let lists = 0;
      let wanted: { meta: Meta; lists: number } | undefined;
      let problems = '';
      const settleIntent = () => {
        const found = reader.problems().join('; ');
        // That there is none yet is the usual beginning, and readiness tells it.
        if (found !== problems && found !== '' && everSynced)
          log.warn(`the intent: ${found}. The webhook writes it: see its log`);
        problems = found;
        const next = reader.intent();
        if (next && next.meta !== wanted?.meta && pods.want(next.meta)) {
          wanted = { meta: next.meta, lists };
          watcher.resync();
        }
        const isListed = wanted === undefined || lists > wanted.lists;
        if (next === null || isListed) {
          inUse = next;
          wanted = undefined;
        }
      };

      const events = instance === undefined ? undefined : createEvents({ api, instance, clock, log });
      let everSynced = false;
      const isSynced = () => watcher.synced() && reader.synced();
      const names = createContainerNames({ mount, onChange: change });
      const targets = createClusterTargets({
        known() {
          everSynced ||= isSynced();
          return everSynced && !closed ? { pods: pods.all(), intent: inUse, node, ownNamespace } : undefined;
        },
        names,
        capture,
        tree,
        mount,
        log,
        say: (saying) => events?.observe(saying),
      });

      const ageMs = () => Math.max(watcher.ageMs(), reader.ageMs());
      return {
        resolve: targets.resolve,
        status: targets.status,
        notice(path) {
          if (!concernsPods(path)) return false;
          noticed.add(path);
          change();
          return true;
        },
        ageMs,
        unread() {
          everSynced ||= isSynced();
          if (everSynced) return [];
          return [
            ...(watcher.synced() ? [] : ['pods: not listed yet']),
            ...(reader.synced() ? [] : ['the intent: not read yet']),
          ];
        },
        coverage: (addon) => {
          const { targets: seen, secrets } = addon;
          const { rules, refused } = targets.coverage();
          return {
            cluster: { node, ageMs: Math.round(ageMs()), trouble: watchLog.trouble() ?? null },
            targets: seen.map((target) => ({ ...target, because: rules.get(target.cgroup) ?? null })),
            secrets,
            refused,
            notes: [...targets.status().notes, ...reader.problems()],
          };
        },
        async close() {
          closed = true;
          clearImmediate(soon);
          names.close();
          events?.stop();
          await Promise.all([watcher.stop(), reader.stop()]);
        },
      };
    },
  };
}
