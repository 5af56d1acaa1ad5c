// The leader's part: makes the ConfigMaps of intent be what follows from the cluster, and keeps them so.
import { type Api, pathOf } from '../cluster/api.ts';
import { isStatus } from '../cluster/api-error.ts';
import { backoffMs } from '../cluster/backoff.ts';
import type { Clock } from '../cluster/clock.ts';
import type { Cluster, Topic } from '../cluster/cluster.ts';
import { type Log, sentenceOf } from '../cluster/log.ts';
import { metaOf } from '../intent/class.ts';
import { patchesFor, type ShardPatch, shardName } from '../intent/document.ts';
import { fitIntent } from '../intent/fit.ts';
import { createDesired, type Desired } from './desired.ts';
import { createGrace } from './grace.ts';
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
  /** What the last pass took of the event loop, in slices. */
  passMs: number;
  classes: number;
  conflicts: number;
  /** Namespaces of which nothing is written, since the ConfigMaps are full. */
  leftOut: number;
  /** What stands in the way now. */
  trouble: string | undefined;
}

// Somebody else who writes the ConfigMap as often as we do would make every agent read it as often.
const patience = 5;
const peaceMs = 60_000;
const maxBrakeMs = 30_000;
// Pods come and go all the time, and what they bring was mostly written as they were admitted.
const usualPodsMs = 250;

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
  podsMs = usualPodsMs,
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
  /** At least so much is between two passes when only pods have changed. */
  podsMs?: number;
  /** How long a class without pods stays: a webhook may have written it for a pod that the watch has not shown yet. */
  graceMs?: number;
  timeoutMs?: number;
}): Controller {
  const compute = createDesired();
  const grace = createGrace({ cluster, clock, graceMs });
  const status: ControllerStatus = {
    leading: false,
    settled: false,
    passes: 0,
    writes: 0,
    failures: 0,
    passMs: 0,
    classes: 0,
    conflicts: 0,
    leftOut: 0,
    trouble: undefined,
  };
  const tellConflicts = onceEach((told) =>
    log.error(
      `different pods share a class id by chance and are not mirrored: ${told}. Rename a container of one`,
    ),
  );
  const tellLeftOut = onceEach((told) =>
    log.error(
      `the intent is more than its ConfigMaps hold, so nothing is mirrored in ${told}. Write filters that name fewer distinct labels and annotations, or fewer filters`,
    ),
  );
  // What is wrong in the ConfigMap is about to be put right; worth a line, since somebody or something did it.
  const tellProblems = onceEach((told) => log.warn(`the intent is restored: ${told}`));
  /** Between two writes of ours that belong together. */
  let moving = false;
  let writing = false;

  /** Never fewer than there are: entries would have to move back. */
  const shardsNow = (): number => {
    const meta = cluster.intent()?.meta.shards ?? 1;
    const there = cluster.shards().findLastIndex((shard) => shard !== undefined) + 1;
    return 2 ** Math.ceil(Math.log2(Math.max(1, meta, there)));
  };

  /** One look, and what must be written. Gives when to look again at the latest. */
  const reconcile = async (
    signal: AbortSignal,
  ): Promise<{ desired: Desired | undefined; againMs: number | undefined }> => {
    const state = cluster.filters();
    const { settings, namespace } = cluster;
    // As they are now: more come and go while this is computed.
    const pods = [...cluster.pods()];
    const { value: desired, ownMs } = await inSlices(
      compute({ settings, namespace, pods: () => pods, filters: () => state }),
      clock,
    );
    // Computed for filters that are no more: their change has woken us already.
    if (cluster.filters() !== state) return { desired: undefined, againMs: 0 };
    const meta = metaOf(state.filters, settings, shardsNow());
    const { kept, againMs } = grace.look(desired.alive, meta);
    const { data: want, leftOut } = fitIntent({
      meta,
      classes: new Map([...kept, ...desired.classes]),
    });
    status.passes += 1;
    status.passMs = ownMs;
    Object.assign(status, {
      classes: desired.classes.size,
      conflicts: desired.conflicts.length,
      leftOut: leftOut.length,
    });
    tellConflicts(desired.conflicts.map(({ id, pods }) => `${id} (${pods.join(' and ')})`).join(', '));
    tellLeftOut(leftOut.join(', '));
    if (cluster.shards()[0] && !moving) tellProblems(cluster.intentProblems().join('; ').slice(0, 2000));
    // Shards that were not watched yet are seen first; their news wakes us.
    if (!cluster.openShards(want.length)) return { desired: undefined, againMs: 1000 };

    const have = cluster.shards().map((shard) => shard?.data);
    const patches = patchesFor(have, want);
    moving = patches.length > 1;
    writing = true;
    try {
      for (const patch of patches) await write(patch, want[patch.shard] ?? {}, signal);
    } finally {
      writing = false;
    }
    moving = false;
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
    // Binary data are nobody's here, and with a key of ours they make every patch a refusal.
    const patch = (content: Record<string, string | null>) =>
      api.mergePatch(
        pathOf(place, 'configmaps', name),
        { metadata: { labels }, data: content, binaryData: null },
        options,
      );
    const make = () => api.create(pathOf(place, 'configmaps'), made, options);
    status.writes += 1;
    // The cache may be behind: somebody made or deleted it a moment ago.
    const answer = create
      ? await make().catch(orWhen(409, () => patch(whole)))
      : await patch(data).catch(orWhen(404, make));
    cluster.noteShard(answer);
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
    /** Something else changed than pods, and by somebody else. */
    let urgent = new AbortController();
    let beganAt = Number.NEGATIVE_INFINITY;
    let restored = { times: 0, at: clock.now() };
    const wake = (topic?: Topic | Event) => {
      dirty = true;
      ring(alarm);
      if (topic === 'intent') touched = true;
      else ring(cause);
      // What comes while we write is nearly always that itself.
      if (topic !== 'pods' && !(topic === 'intent' && writing)) ring(urgent);
    };
    const forget = cluster.onChange(wake);
    signal.addEventListener('abort', wake, { once: true });
    status.leading = true;
    // Of an earlier time as leader; meanwhile another one watched.
    grace.forget();
    try {
      while (!signal.aborted) {
        if (!cluster.synced()) {
          await clock.sleep(60_000, alarm.signal);
          alarm = new AbortController();
          continue;
        }
        // Much comes together; and passes never take more than a fifth of the time.
        await clock.sleep(Math.min(1000, Math.max(debounceMs, status.passMs * 5)), signal);
        const tooEarlyMs = beganAt + podsMs - clock.now();
        if (tooEarlyMs > 0) await clock.sleep(tooEarlyMs, urgent.signal);
        const over = restored.times - patience;
        if (over > 0) await clock.sleep(Math.min(maxBrakeMs, 100 * 2 ** over), cause.signal);
        if (signal.aborted) return;
        dirty = false;
        alarm = new AbortController();
        const isRestoring = touched && !cause.signal.aborted;
        touched = false;
        cause = new AbortController();
        urgent = new AbortController();
        beganAt = clock.now();
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
          // News may be what helps; but a server that is not well is not asked more than once a second.
          await clock.sleep(Math.min(waitMs, 1000), signal);
          await clock.sleep(Math.max(0, waitMs - 1000), alarm.signal);
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

/** Once: each time would make an error with its stack, and pods ring hundreds of times a second. */
function ring(bell: AbortController): void {
  if (!bell.signal.aborted) bell.abort();
}

/** The same sentence once, until another one is true. */
function onceEach(say: (sentence: string) => void): (sentence: string) => void {
  let last = '';
  return (sentence) => {
    if (sentence && sentence !== last) say(sentence);
    last = sentence;
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
