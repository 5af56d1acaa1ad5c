// The leader's part: makes the ConfigMaps of intent be what follows from the cluster, and keeps them so.
import { type Api, pathOf } from '../cluster/api.ts';
import { isStatus } from '../cluster/api-error.ts';
import { backoffMs } from '../cluster/backoff.ts';
import type { Clock } from '../cluster/clock.ts';
import type { Cluster, Topic } from '../cluster/cluster.ts';
import { type Log, sentenceOf } from '../cluster/log.ts';
import { metaOf } from '../intent/class.ts';
import { encodeIntent, patchesFor, type ShardPatch, shardName } from '../intent/document.ts';
import type { Grant } from '../intent/model.ts';
import { createDesired, type Desired, keysOf } from './desired.ts';
import { inSlices } from './slices.ts';

export interface Controller {
  /** Acts until the signal aborts; settles then. Called by whoever holds the lease. */
  lead(signal: AbortSignal): Promise<void>;
  status(): ControllerStatus;
}

export interface ControllerStatus {
  leading: boolean;
  /** Nothing was left to do at the last look. */
  settled: boolean;
  passes: number;
  writes: number;
  failures: number;
  /** Of the last pass. */
  passMs: number;
  classes: number;
  conflicts: number;
  /** What stands in the way now. */
  trouble: string | undefined;
}

// Somebody else who writes the ConfigMap as often as we do would make every agent read it as often.
const patience = 5;
const peaceMs = 60_000;
const maxBrakeMs = 30_000;

const labels = {
  'app.kubernetes.io/name': 'podmirror',
  'app.kubernetes.io/component': 'intent',
  'app.kubernetes.io/managed-by': 'podmirror-webhook',
};

export function createController({
  api,
  cluster,
  clock,
  log,
  onDesired = () => {},
  debounceMs = 50,
  graceMs = 30_000,
  timeoutMs = 10_000,
}: {
  api: Pick<Api, 'create' | 'mergePatch'>;
  cluster: Cluster;
  clock: Clock;
  log: Log;
  /** After each pass, when the ConfigMaps are right: for events. */
  onDesired?: (desired: Desired) => void;
  debounceMs?: number;
  /** How long a class without pods stays: a webhook may have written it for a pod that the watch has not shown yet. */
  graceMs?: number;
  timeoutMs?: number;
}): Controller {
  const compute = createDesired();
  const aloneSince = new Map<string, number>();
  const status: ControllerStatus = {
    leading: false,
    settled: false,
    passes: 0,
    writes: 0,
    failures: 0,
    passMs: 0,
    classes: 0,
    conflicts: 0,
    trouble: undefined,
  };
  let toldConflicts = '';
  let toldProblems = '';
  /** Between two writes of ours that belong together. */
  let moving = false;

  /** Classes that stand there without pods and may have one any moment, and when to look again. */
  const inGrace = (
    desired: Desired,
    keys: string,
  ): { kept: [string, Grant[]][]; againMs: number | undefined } => {
    const intent = cluster.intent();
    const now = clock.now();
    const kept: [string, Grant[]][] = [];
    let againMs: number | undefined;
    // Ids made of other keys are nobody's, and no webhook writes them any more.
    const candidates = intent && keysOf(intent.meta) === keys ? intent.classes : new Map<string, Grant[]>();
    for (const id of aloneSince.keys())
      if (!candidates.has(id) || desired.alive.has(id)) aloneSince.delete(id);
    for (const [id, grants] of candidates) {
      if (desired.alive.has(id)) continue;
      const since = aloneSince.get(id) ?? now;
      aloneSince.set(id, since);
      const leftMs = since + graceMs - now;
      if (leftMs <= 0) continue;
      kept.push([id, grants]);
      againMs = Math.min(againMs ?? leftMs, leftMs);
    }
    return { kept, againMs };
  };

  /** Never fewer than there are: entries would have to move back, and a reader could miss them on the way. */
  const shardsNow = (): number => {
    const meta = cluster.intent()?.meta.shards ?? 1;
    const there = cluster.shards().findLastIndex((shard) => shard !== undefined) + 1;
    return 2 ** Math.ceil(Math.log2(Math.max(1, meta, there)));
  };

  /** One look, and what must be written. Gives when to look again at the latest. */
  const reconcile = async (
    signal: AbortSignal,
  ): Promise<{ desired: Desired | undefined; againMs: number | undefined }> => {
    const beganAt = clock.now();
    const state = cluster.filters();
    const { settings, namespace, pods } = cluster;
    const desired = await inSlices(compute({ settings, namespace, pods, filters: () => state }));
    // Computed for filters that are no more: their change has woken us already.
    if (cluster.filters() !== state) return { desired: undefined, againMs: 0 };
    const meta = metaOf(state.filters, settings, shardsNow());
    const { kept, againMs } = inGrace(desired, keysOf(meta));
    const want = encodeIntent({ meta, classes: new Map([...kept, ...desired.classes]) });
    Object.assign(status, { classes: desired.classes.size, conflicts: desired.conflicts.length });
    status.passes += 1;
    status.passMs = clock.now() - beganAt;
    tell(desired);
    // Shards that were not watched yet are seen first; their news wakes us.
    if (!cluster.openShards(want.length)) return { desired: undefined, againMs: 1000 };

    const have = cluster.shards().map((shard) => shard?.data);
    const grows = cluster.intent() !== null && cluster.intent()?.meta.shards !== want.length;
    moving ||= grows;
    const patches = patchesFor(have, want).map((patch) => (grows ? withoutRemovals(patch) : patch));
    for (const patch of patches) {
      if (patch.create || Object.keys(patch.data).length > 0)
        await write(patch, want[patch.shard] ?? {}, signal);
    }
    // What moved is removed where it was once every reader knows where it is.
    moving = grows;
    if (grows) return { desired: undefined, againMs: 0 };
    return { desired, againMs };
  };

  const write = async (
    { shard, create, data }: ShardPatch,
    whole: Record<string, string>,
    signal: AbortSignal,
  ) => {
    signal.throwIfAborted();
    const name = shardName(shard);
    const place = { namespace: cluster.settings.ownNamespace };
    const options = { signal, timeoutMs };
    const made = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels }, data: whole };
    const patch = (content: Record<string, string | null>) =>
      api.mergePatch(pathOf(place, 'configmaps', name), { metadata: { labels }, data: content }, options);
    const make = () => api.create(pathOf(place, 'configmaps'), made, options);
    status.writes += 1;
    // The cache may be behind: somebody made or deleted it a moment ago.
    const answer = create
      ? await make().catch(orWhen(409, () => patch(whole)))
      : await patch(data).catch(orWhen(404, make));
    cluster.noteShard(answer);
  };

  const tell = ({ conflicts }: Desired) => {
    const told = conflicts.map(({ id, pods }) => `${id} (${pods.join(' and ')})`).join(', ');
    if (told && told !== toldConflicts) {
      log.error(
        `different pods share a class id by chance and are not mirrored: ${told}. Rename a container of one`,
      );
    }
    toldConflicts = told;
    // What is wrong in the ConfigMap is about to be put right; worth a line, since somebody or something did it.
    const problems = cluster.shards()[0] && !moving ? cluster.intentProblems().join('; ').slice(0, 2000) : '';
    if (problems && problems !== toldProblems) log.warn(`the intent is restored: ${problems}`);
    toldProblems = problems;
  };

  const afterOneMore = ({ times, at }: { times: number; at: number }) => {
    const now = clock.now();
    const next = { times: now - at < peaceMs ? times + 1 : 1, at: now };
    if (next.times === patience + 1) {
      log.warn(
        'somebody else keeps changing the intent, so it is restored less and less often. Leave it to podmirror',
      );
    }
    return next;
  };

  const lead = async (signal: AbortSignal): Promise<void> => {
    let dirty = false;
    let failures = 0;
    let alarm = new AbortController();
    /** Something else changed than the ConfigMaps. */
    let cause = new AbortController();
    let touched = false;
    let restored = { times: 0, at: clock.now() };
    const wake = (topic?: Topic | Event) => {
      dirty = true;
      alarm.abort();
      if (topic === 'intent') touched = true;
      else cause.abort();
    };
    const forget = cluster.onChange(wake);
    signal.addEventListener('abort', wake, { once: true });
    status.leading = true;
    // Of an earlier time as leader; meanwhile another one watched.
    aloneSince.clear();
    try {
      while (!signal.aborted) {
        if (!cluster.synced()) {
          await clock.sleep(60_000, alarm.signal);
          alarm = new AbortController();
          continue;
        }
        // Much comes together; and passes never take more than a fifth of the time.
        await clock.sleep(Math.min(1000, Math.max(debounceMs, status.passMs * 5)), signal);
        const over = restored.times - patience;
        if (over > 0) await clock.sleep(Math.min(maxBrakeMs, 100 * 2 ** over), cause.signal);
        if (signal.aborted) return;
        dirty = false;
        alarm = new AbortController();
        const isRestoring = touched && !cause.signal.aborted;
        touched = false;
        cause = new AbortController();
        const writesBefore = status.writes;
        try {
          const { desired, againMs } = await reconcile(signal);
          if (isRestoring && status.writes > writesBefore) restored = afterOneMore(restored);
          else if (clock.now() - restored.at > peaceMs) restored = { times: 0, at: clock.now() };
          if (status.trouble !== undefined) log.info('the intent is written again');
          status.trouble = undefined;
          failures = 0;
          status.settled = desired !== undefined && !dirty;
          if (desired) onDesired(desired);
          if (dirty) continue;
          await clock.sleep(Math.min(againMs ?? 60_000, 60_000), alarm.signal);
        } catch (error) {
          if (signal.aborted) return;
          failures += 1;
          status.failures += 1;
          status.settled = false;
          const sentence = explained(error);
          const waitMs = backoffMs(failures, clock, error);
          if (status.trouble === undefined || failures % 10 === 0) {
            log.warn(`the intent cannot be written: ${sentence}; again in ${waitMs} ms`);
          }
          status.trouble = sentence;
          await clock.sleep(waitMs, signal);
        }
      }
    } finally {
      forget();
      signal.removeEventListener('abort', wake);
      Object.assign(status, { leading: false, settled: false });
    }
  };

  return { lead, status: () => ({ ...status }) };
}

function withoutRemovals(patch: ShardPatch): ShardPatch {
  return {
    ...patch,
    data: Object.fromEntries(Object.entries(patch.data).filter(([, value]) => value !== null)),
  };
}

const orWhen =
  (status: number, otherwise: () => Promise<unknown>) =>
  (error: unknown): Promise<unknown> => {
    if (isStatus(error, status)) return otherwise();
    throw error;
  };

function explained(error: unknown): string {
  const sentence = sentenceOf(error);
  if (!/immutable/.test(sentence)) return sentence;
  return `${sentence}. Delete that ConfigMap, it is made again`;
}
